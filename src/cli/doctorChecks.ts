/** The checks of `egret doctor`, each with what to do when it fails. */
import { sql } from "kysely";
import { readSource } from "../configuration/store.ts";
import { type OpenDatabase } from "../projections/database.ts";
import { pendingMigrations } from "../projections/migrate.ts";
import { failedDestinations } from "../runtime/trials/connectionTest.ts";
import { redactUrl } from "../security/redact.ts";
import { openSecretBox } from "../security/secretBox.ts";
import { checkLog } from "./doctorLogChecks.ts";
import { type Finding, ok, problem } from "./finding.ts";
import { counted } from "./format.ts";
import {
  databaseUrlOf,
  findServices,
  natsUrlOf,
  type Reach,
  type ReachOptions,
  withDatabase,
  withLog,
} from "./reach.ts";

const OLDEST_NODE = 24;

/** Every check in order; one that cannot be made is a problem, and those that build on it are left out. */
export async function checkEverything(options: ReachOptions): Promise<Finding[]> {
  const findings = [checkNode()];
  let reach: Reach;
  try {
    reach = await findServices(options);
  } catch (error) {
    return [
      ...findings,
      problem("settings", error, "correct or unset the variable; egret --help lists them all"),
    ];
  }
  findings.push(checkOrigin(reach), checkSecretKey(reach));
  findings.push(...(await checkDatabase(reach)));
  findings.push(...(await checkNats(reach)));
  return findings;
}

function checkNode(): Finding {
  const { node } = process.versions;
  if (Number(node.split(".")[0]) >= OLDEST_NODE) return ok("Node", node);
  const fix = "run npm ci, which brings a newer one along, and use bin/egret";
  return { name: "Node", state: "problem", message: `${node} is older than ${OLDEST_NODE}`, fix };
}

function checkOrigin({ config, databaseUrl, natsUrl }: Reach): Finding {
  if (config.databaseUrl !== null && config.natsUrl !== null)
    return ok("services", "named by the environment");
  if (databaseUrl !== null && natsUrl !== null)
    return ok("services", `of the development server in ${config.dir}`);
  return {
    name: "services",
    state: "problem",
    message: `the environment names none, and no development server runs in ${config.dir}`,
    fix: "run egret start in another shell, or set EGRET_DATABASE_URL, EGRET_NATS_URL and EGRET_SECRET_KEY",
  };
}

function checkSecretKey({ secretKeys }: Reach): Finding {
  try {
    openSecretBox(secretKeys);
    return ok("secret key", secretKeys.length === 1 ? "set" : `set, with ${secretKeys.length - 1} older`);
  } catch (error) {
    return problem(
      "secret key",
      error,
      "set EGRET_SECRET_KEY to what: openssl rand -base64 32   prints, and keep it",
    );
  }
}

async function checkDatabase(reach: Reach): Promise<Finding[]> {
  if (reach.databaseUrl === null) return [];
  try {
    return await withDatabase(reach, async (database) => {
      const findings = [
        ok("Postgres", `${redactUrl(databaseUrlOf(reach))}, version ${await postgresVersion(database)}`),
      ];
      const pending = await pendingMigrations(databaseUrlOf(reach));
      if (pending.length > 0) {
        const message = `${counted(pending.length, "migration")} pending: ${pending.join(", ")}`;
        return [...findings, { name: "schema", state: "problem", message, fix: "run egret migrate" }];
      }
      findings.push(ok("schema", "up to date"), await checkConfiguration(database, reach));
      return [...findings, ...(await checkDestinations(database)), ...(await checkOutbox(database))];
    });
  } catch (error) {
    return [problem("Postgres", error, "start it, or correct EGRET_DATABASE_URL")];
  }
}

async function postgresVersion({ db }: OpenDatabase): Promise<string> {
  const { rows } = await sql<{ server_version: string }>`show server_version`.execute(db);
  return rows[0]?.server_version ?? "unknown";
}

async function checkConfiguration({ db }: OpenDatabase, reach: Reach): Promise<Finding> {
  const syncs = await db.selectFrom("egret.syncs").select("id").execute();
  const webhooks = await db.selectFrom("egret.webhooks").select("id").execute();
  const source = await db.selectFrom("egret.sources").select("id").executeTakeFirst();
  if (source === undefined) {
    const fix = "write an egret.yaml and run egret apply";
    return { name: "configuration", state: "warning", message: "nothing is configured yet", fix };
  }
  try {
    // One secret stands for all: they are sealed under the same key.
    await readSource(db, openSecretBox(reach.secretKeys), source.id);
  } catch (error) {
    return problem(
      "configuration",
      error,
      "set EGRET_SECRET_KEY to the key that the secrets were sealed with",
    );
  }
  return ok("configuration", `${counted(syncs.length, "sync")}, ${counted(webhooks.length, "webhook")}`);
}

async function checkDestinations({ db }: OpenDatabase): Promise<Finding[]> {
  return (await failedDestinations(db)).map((name) => ({
    name: "destination",
    state: "warning",
    message: `${name} failed its last connection test`,
    fix: `run egret destination test ${name}`,
  }));
}

/** Changes that wait for minutes to get into the log: no scheduler runs. */
async function checkOutbox({ db }: OpenDatabase): Promise<Finding[]> {
  const oldest = await db.selectFrom("egret.outbox").select("occurred_at").orderBy("id").executeTakeFirst();
  if (oldest === undefined || Date.now() - oldest.occurred_at.getTime() < 60_000) return [];
  const message = "configuration changes wait to be told to the log";
  return [{ name: "outbox", state: "warning", message, fix: "run egret start with the role scheduler" }];
}

async function checkNats(reach: Reach): Promise<Finding[]> {
  if (reach.natsUrl === null) return [];
  try {
    return await withLog(reach, async ({ connection }) => {
      const version = connection.nc.info?.version ?? "unknown";
      return [
        ok(
          "NATS",
          `${natsUrlOf(reach)
            .split(",")
            .map((url) => redactUrl(url.trim()))
            .join(",")}, version ${version}, with JetStream`,
        ),
        ...(await checkLog(connection, reach)),
      ];
    });
  } catch (error) {
    return [problem("NATS", error, "start a nats-server 2.12 or newer with -js, or correct EGRET_NATS_URL")];
  }
}
