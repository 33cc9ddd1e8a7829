/** The program of a child process: one replay worker on the services of its environment, to be killed as by a crash. */
import { pino } from "pino";
import { connectLog } from "../../src/log/connection.ts";
import { EventLog } from "../../src/log/eventLog.ts";
import { Topology } from "../../src/log/topology.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { startReplayWorker } from "../../src/runtime/replays/replayWorker.ts";

const given = JSON.parse(process.env["EGRET_TEST_SETTINGS"] ?? "{}") as {
  natsUrl: string;
  databaseUrl: string;
  streamPrefix: string;
};
const connection = await connectLog(given.natsUrl, new Topology(given.streamPrefix));
const { db } = openDatabase(given.databaseUrl);
const logger = pino({ level: "silent" });
startReplayWorker({ db, connection, log: new EventLog(connection), logger });
// A test that ends without ending us must not leave us behind.
process.once("disconnect", () => process.exit(1));
