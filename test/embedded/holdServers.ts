/** A program that opens development services, says so in one line of JSON, and waits to be killed. */
import { openDevelopmentServices } from "../../src/embedded/services.ts";

const [dir = ""] = process.argv.slice(2);
const services = await openDevelopmentServices({ dir, log: { info() {}, warn() {} } });
process.on("SIGTERM", () => {
  void services.close().then(() => process.exit(0));
});
process.stdout.write(`${JSON.stringify({ nats: services.nats?.pid, postgres: services.postgres?.pid })}\n`);
setInterval(() => {}, 60_000);
