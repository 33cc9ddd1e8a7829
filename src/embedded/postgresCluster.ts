/** Makes a Postgres data folder, whole or not at all, and clears what a killed Postgres left in it. */
import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { access, chown, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { PostgresHome } from "./postgresAccount.ts";
import { commandLineOf, isAlive, waitUntilGone } from "./processes.ts";

/** The superuser of every embedded cluster. */
export const POSTGRES_USER = "egret";

const run = promisify(execFile);
const PASSWORD_FILE = "egret.password";
const PID_FILE = "postmaster.pid";
/** A Postgres that is already on its way out goes within this. */
const LEAVING_PATIENCE_MS = 5_000;

/** Runs initdb unless the folder holds a cluster already; resolves to the superuser's password. */
export async function ensureCluster(home: PostgresHome, isFast: boolean): Promise<string> {
  if (!(await exists(path.join(home.dataDir, "PG_VERSION")))) await createCluster(home, isFast);
  return await readFile(path.join(home.dataDir, PASSWORD_FILE), "utf8");
}

/**
 * Removes the pid file of a dead Postgres whose id another program has by now, which Postgres itself cannot tell apart;
 * throws when a Postgres that is not ours is alive on the folder.
 */
export async function recoverPidFile({ dataDir }: PostgresHome): Promise<void> {
  const file = path.join(dataDir, PID_FILE);
  const pid = Number((await readFile(file, "utf8").catch(() => "")).split("\n")[0]);
  if (!(pid > 0) || !isAlive(pid)) return;
  const command = await commandLineOf(pid);
  if (command.includes("postgres") && command.includes(dataDir)) {
    if (await waitUntilGone(pid, LEAVING_PATIENCE_MS)) return;
    throw new Error(
      `the Postgres folder ${dataDir} is in use by process ${pid}. Stop that process first, or choose another folder.`,
    );
  }
  await rm(file, { force: true });
}

async function createCluster(home: PostgresHome, isFast: boolean): Promise<void> {
  const { dataDir, account } = home;
  const draft = `${dataDir}.new-${randomUUID()}`;
  const passwordFile = `${draft}.password`;
  const password = randomBytes(24).toString("base64url");
  await mkdir(draft, { recursive: true, mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  try {
    if (account !== undefined) {
      await chown(draft, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    await initdb(home, { draft, passwordFile, isFast });
    await rename(passwordFile, path.join(draft, PASSWORD_FILE));
    // Over the empty folder or onto nothing: a cluster that initdb left half-made is never mistaken for a whole one.
    await rename(draft, dataDir);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(draft, { recursive: true, force: true });
  }
}

async function initdb(
  home: PostgresHome,
  { draft, passwordFile, isFast }: { draft: string; passwordFile: string; isFast: boolean },
): Promise<void> {
  const [program = "", ...args] = [
    ...home.prefix,
    home.binaries.initdb,
    `--pgdata=${draft}`,
    `--username=${POSTGRES_USER}`,
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    ...(isFast ? ["--no-sync"] : []),
  ];
  try {
    await run(program, args, {
      cwd: draft,
      timeout: 120_000,
      env: { ...process.env, LC_ALL: "C", TZ: "UTC" },
      ...(home.account && { uid: home.account.uid, gid: home.account.gid }),
    });
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string };
    throw new Error(
      `initdb could not make ${home.dataDir}: ${(stderr || message).trim().split("\n").slice(-3).join(" ")}`,
      {
        cause,
      },
    );
  }
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}
