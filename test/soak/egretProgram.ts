/** One Egret process of a soak: what `egret start` runs, until it is killed. */
import { openLogger } from "../../src/logger.ts";
import { type EgretSettings, startEgret } from "../../src/main.ts";

const settings = JSON.parse(process.env["EGRET_SOAK_SETTINGS"] ?? "{}") as Omit<EgretSettings, "logger">;
// Whoever started us is gone: nobody would end us.
process.once("disconnect", () => process.exit(1));
// Ctrl-C reaches the whole group: who started us decides when we end.
process.on("SIGINT", () => undefined);
const running = await startEgret({ ...settings, logger: openLogger({ level: "warn", pretty: false }) });
void running.failed.then((error) => {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exit(1);
});
process.once("SIGTERM", () => {
  void running.close().then(() => process.exit(0));
});
process.send?.({ ready: true });
