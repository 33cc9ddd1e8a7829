/** Decides under which identity Postgres runs: it refuses to be root, and many fresh machines and containers are. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, chown, cp, mkdir, readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import type { EmbeddedLog } from "./embeddedLog.ts";
import { binariesIn, type PostgresBinaries } from "./postgresBinaries.ts";

/** How to run Postgres' programs, and where they and the data have to be for that. */
export interface PostgresHome {
  binaries: PostgresBinaries;
  dataDir: string;
  /** What goes in front of a program. */
  prefix: readonly string[];
  account?: { uid: number; gid: number };
}

interface Account {
  name: string;
  uid: number;
  gid: number;
}

const run = promisify(execFile);
/** Where an account that cannot enter our folders keeps its copy. */
const SHARED_HOME = "/var/lib/egret";
const WAY_OUT = "run Egret as an ordinary user, or set EGRET_DATABASE_URL to a Postgres that you run";

/** Settles the identity: our own where Postgres takes it, else a user namespace, else an account of the machine. */
export async function settlePostgresHome(
  binaries: PostgresBinaries,
  dataDir: string,
  log: EmbeddedLog,
): Promise<PostgresHome> {
  const home: PostgresHome = { binaries, dataDir, prefix: [] };
  const problem = problemWithOurselves();
  if (problem === undefined) return home;

  const accounts = await readAccounts();
  const namespace = await tryNamespace(home, accounts);
  if (typeof namespace !== "string") return { ...home, prefix: namespace.prefix };

  const account = ["postgres", "nobody"].flatMap((name) =>
    accounts.filter((known) => known.name === name),
  )[0];
  if (process.getuid?.() === 0 && account !== undefined) return await homeOfAccount(home, account, log);
  throw new Error(`${problem}, and a user namespace is refused here (${namespace}); ${WAY_OUT}`);
}

function problemWithOurselves(): string | undefined {
  if (process.getuid?.() === 0) return "Postgres does not run as root";
  try {
    userInfo();
    return undefined;
  } catch {
    return `Postgres does not run as user id ${process.getuid?.()}, which has no account on this machine`;
  }
}

/**
 * In a user namespace of its own a process bears another user id, while outside it stays ours: so do its files. Postgres
 * looks the id up, so it has to be one that has an account here; which one does not matter.
 */
async function tryNamespace(
  { binaries }: PostgresHome,
  accounts: readonly Account[],
): Promise<{ prefix: readonly string[] } | string> {
  const someone = accounts.find(({ uid }) => uid > 0);
  if (someone === undefined) return "no account but root";
  const prefix = ["unshare", "--user", `--map-user=${someone.uid}`, "--"];
  const [unshare = "", ...args] = prefix;
  return (await reasonOfFailure(unshare, [...args, binaries.postgres, "--version"])) ?? { prefix };
}

async function homeOfAccount(
  wanted: PostgresHome,
  account: Account,
  log: EmbeddedLog,
): Promise<PostgresHome> {
  const home: PostgresHome = { ...wanted, account };
  await giveTo(account, home.dataDir);
  if ((await canRun(home)) && (await canWrite(home))) return home;

  // A checkout under a home or a private temporary folder is closed to every other account.
  const root = path.join(SHARED_HOME, createHash("sha256").update(wanted.dataDir).digest("hex").slice(0, 16));
  const moved: PostgresHome = {
    ...home,
    binaries: binariesIn(path.join(root, "postgres")),
    dataDir: path.join(root, "data"),
  };
  await mkdir(root, { recursive: true, mode: 0o755 });
  await cp(wanted.binaries.native, moved.binaries.native, { recursive: true, verbatimSymlinks: true });
  await giveTo(account, moved.dataDir);
  if (!(await canRun(moved)) || !(await canWrite(moved))) {
    throw new Error(
      `Postgres does not run as root, and the account ${account.name} cannot use ${root}; ${WAY_OUT}`,
    );
  }
  log.warn(
    { dataDir: moved.dataDir, account: account.name },
    "Postgres keeps its data apart, where its account may enter",
  );
  return moved;
}

async function readAccounts(): Promise<Account[]> {
  const lines = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n");
  return lines.flatMap((line) => {
    const [name = "", , uid, gid] = line.split(":");
    return uid === undefined || gid === undefined ? [] : [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

async function giveTo({ uid, gid }: { uid: number; gid: number }, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chown(folder, uid, gid);
  await chmod(folder, 0o700);
}

async function canRun({ binaries, account }: PostgresHome): Promise<boolean> {
  return (await reasonOfFailure(binaries.postgres, ["--version"], account)) === undefined;
}

async function canWrite({ dataDir, account }: PostgresHome): Promise<boolean> {
  return (
    (await reasonOfFailure("/bin/sh", ["-c", 'test -w "$1" && cd "$1"', "sh", dataDir], account)) ===
    undefined
  );
}

async function reasonOfFailure(
  command: string,
  args: readonly string[],
  account?: { uid: number; gid: number },
): Promise<string | undefined> {
  try {
    await run(command, [...args], {
      timeout: 10_000,
      cwd: "/",
      ...(account && { uid: account.uid, gid: account.gid }),
    });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return (stderr?.trim() || message).split("\n")[0] ?? "no reason given";
  }
}
