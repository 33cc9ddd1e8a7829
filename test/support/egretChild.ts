/** The program of a child process: a whole Egret with the settings of its environment, until it is told to end. */
import { pino } from "pino";
import { type EgretSettings, startEgret } from "../../src/main.ts";

const settings = JSON.parse(process.env["EGRET_TEST_SETTINGS"] ?? "{}") as Omit<EgretSettings, "logger">;
const running = await startEgret({ ...settings, logger: pino({ level: "debug" }) });
process.send?.({ ready: true });
// A test that ends without ending us must not leave us behind.
process.once("disconnect", () => process.exit(1));
process.once("SIGTERM", () => {
  void running.close().then(() => process.exit(0));
});
