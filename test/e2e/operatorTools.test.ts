import { Client } from "pg";
import { Webhook as Verifier } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { applyYaml, type TestEgret, testEgret, triggerAndWait } from "../support/egret.ts";
import { testDatabase } from "../support/namespace.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";

let egret: TestEgret;
let destination: Receiver;
let subscriber: Receiver;
let secret = "";
let yaml = "";

/** Lifecycle events of one good run. */
const EVENTS = ["sync.triggered", "sync.started", "sync.completed", "sync.success"];
const LONG = { timeout: 30_000, interval: 50 };

/** Runs a command against this installation; it must end well. */
async function cli(...args: string[]): Promise<string> {
  const { settings, databaseUrl } = egret;
  const result = await runCli(args, {
    EGRET_DATABASE_URL: databaseUrl,
    EGRET_NATS_URL: settings.natsUrl,
    EGRET_STREAM_PREFIX: settings.streamPrefix,
    EGRET_SECRET_KEY: settings.secretKeys.join(","),
    EGRET_ALLOW_HTTP: "true",
  });
  if (result.code !== 0)
    throw new Error(`egret ${args.join(" ")} ended with ${result.code}: ${result.stderr}`);
  return result.stdout;
}
const cliLines = async (...args: string[]) =>
  (await cli(...args))
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const run = () => triggerAndWait(egret, { sync: "people_to_ops", force_full_sync: true });
const eventOf = ({ body }: ReceivedRequest) => (JSON.parse(body.toString()) as { event: string }).event;
const ofRun = (runId: number) =>
  subscriber.requests.filter(({ headers }) => String(headers["x-delivery-id"]).startsWith(`${runId}-`));
const waitingNow = async () => {
  const { jsm, topology } = egret.services.connection;
  return (await jsm.streams.info(topology.waitingStream)).state.messages;
};
const deliveriesOf = async (runId: number, ...more: string[]) =>
  cliLines("deliveries", "list", "--run", String(runId), "--webhook", "pager", "--json", ...more);
/** The read models follow the log within moments. */
const projected = (runId: number, state: string) =>
  expect.poll(async () => (await deliveriesOf(runId, "--state", state)).length, LONG).toBe(EVENTS.length);

beforeAll(async () => {
  const { url: warehouseUrl } = await testDatabase();
  const warehouse = new Client({ connectionString: warehouseUrl });
  await warehouse.connect();
  await warehouse.query(
    "create table people (id int primary key, name text); insert into people select n, 'x' from generate_series(1, 3) n",
  );
  await warehouse.end();
  [destination, subscriber] = await Promise.all([startReceiver(), startReceiver()]);
  egret = await testEgret();
  yaml = `
workspace: demo
sources: { warehouse: { type: postgres, url: "${warehouseUrl}" } }
destinations: { ops: { type: webhook, url: "${destination.url}/rows" } }
syncs: { people_to_ops: { source: warehouse, table: public.people, destination: ops, key: id } }
webhooks: { pager: { endpoint: "${subscriber.url}/hook" } }
`;
  secret = (await applyYaml(egret, yaml)).secrets.get("pager") ?? "";
});
afterAll(async () => {
  await destination.close();
  await subscriber.close();
});

describe("an operator", () => {
  test("pauses a webhook: events wait without an attempt, and all arrive once when it is resumed", async () => {
    expect(await cli("webhook", "pause", "pager")).toContain("Webhook pager is paused");
    const { runId } = await run();
    await expect.poll(waitingNow, LONG).toBe(EVENTS.length);
    expect(ofRun(runId)).toEqual([]);
    await projected(runId, "pending");
    for (const row of await deliveriesOf(runId)) expect(row).toMatchObject({ attempts: 0 });
    // Applying the same file does not resume it.
    await applyYaml(egret, yaml);
    expect(await cli("webhook", "pause", "pager")).toContain("is paused already");

    await cli("webhook", "resume", "pager");
    await subscriber.waitFor(() => ofRun(runId).length >= EVENTS.length, 30_000);
    await projected(runId, "delivered");
    expect(ofRun(runId).map(eventOf).sort()).toEqual(EVENTS.toSorted());
    for (const { headers } of ofRun(runId)) expect(headers["x-delivery-attempt"]).toBe("1");
  });

  test("pauses a destination: a run waits for it and ends well after that", async () => {
    await cli("destination", "pause", "ops");
    const before = destination.requests.length;
    const running = run();
    await expect.poll(waitingNow, LONG).toBeGreaterThan(0);
    expect(destination.requests).toHaveLength(before);
    await cli("destination", "resume", "ops");
    expect((await running).events.at(-1)?.type).toBe("sync.success");
  });

  test("sends one delivery again: same id, same bytes, the next attempt number", async () => {
    const { runId } = await run();
    await projected(runId, "delivered");
    const first = ofRun(runId).find((request) => eventOf(request) === "sync.success");
    const id = String(first?.headers["x-delivery-id"]);
    expect(await cli("deliveries", "redeliver", id)).toContain(`delivery ${id} begins again`);
    await subscriber.waitFor(() => ofRun(runId).length >= EVENTS.length + 1, 30_000);
    const again = ofRun(runId).at(-1);
    expect(again?.headers).toMatchObject({
      "x-delivery-id": id,
      "x-event-id": first?.headers["x-event-id"],
      "x-delivery-attempt": "2",
    });
    expect(again?.body.equals(first?.body ?? Buffer.alloc(0))).toBe(true);
    await expect
      .poll(async () => (await cliLines("deliveries", "show", id, "--json"))[0], LONG)
      .toMatchObject({
        state: "delivered",
        attempts: 2,
        redeliveries: 1,
        attemptList: [{ attempt: 1 }, { attempt: 2 }],
      });
    const shown = await cli("deliveries", "show", id);
    expect(shown).toContain(`delivery/${id}`);
    expect(shown).toContain("attempt 2");
    // The audit of the run is none the worse for it.
    expect(await cli("audit", String(runId))).toContain("complete: ");
  });

  test("replays what a webhook missed while it was disabled, and only that", async () => {
    await cli("webhook", "disable", "pager");
    const since = new Date().toISOString();
    const { runId } = await run();
    await cli("webhook", "enable", "pager");
    const args = ["replay", "start", "--missed", "--webhook", "pager", "--since", since];
    expect(await cli(...args, "--dry-run")).toBe("4 deliveries would be replayed; nothing was done\n");
    expect(ofRun(runId)).toEqual([]);
    const [ended] = await cliLines(...args, "--watch", "--json");
    expect(ended).toMatchObject({ state: "completed", total: 4, replayed: 4, skipped: {} });
    await subscriber.waitFor(() => ofRun(runId).length >= EVENTS.length, 30_000);
    expect(ofRun(runId).map(eventOf).sort()).toEqual(EVENTS.toSorted());
    expect(await cli(...args, "--dry-run")).toContain("0 deliveries would be replayed");
    expect(await cli("replay", "list")).toContain("missed events: ");
  });

  test("replays a filter, and watches it to its end", async () => {
    const { runId } = await run();
    await projected(runId, "delivered");
    const shown = await cli("replay", "start", "--run", String(runId), "--state", "delivered", "--watch");
    expect(shown).toContain("completed: 4 deliveries begun again");
    await subscriber.waitFor(() => ofRun(runId).length >= 2 * EVENTS.length, 30_000);
    const attempts = ofRun(runId).map(({ headers }) => headers["x-delivery-attempt"]);
    expect(attempts.map(Number).sort((a, b) => a - b)).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
  });

  test("pings a webhook and sees its answer", async () => {
    subscriber.behave({ status: 202, body: "well received" });
    const shown = await cli("webhook", "ping", "pager");
    expect(shown).toContain("HTTP 202");
    expect(shown).toContain("well received");
    expect(shown).toMatch(/total \d/);
    expect(eventOf(subscriber.requests.at(-1) as ReceivedRequest)).toBe("ping");
    subscriber.behave({});
  });

  test("rotates a secret with an overlap: both verify, and the new one is shown once", async () => {
    const [rotated] = await cliLines("webhook", "rotate-secret", "pager", "--overlap", "24h", "--json");
    // Workers read a changed webhook again within half a second.
    await expect
      .poll(async () => {
        await cli("webhook", "ping", "pager");
        const { headers } = subscriber.requests.at(-1) as ReceivedRequest;
        return String(headers["webhook-signature"]).split(" ").length;
      }, LONG)
      .toBe(2);
    const { runId } = await run();
    await subscriber.waitFor(() => ofRun(runId).length >= EVENTS.length, 30_000);
    const last = ofRun(runId).at(-1) as ReceivedRequest;
    for (const each of [secret, String(rotated?.["secret"])]) {
      expect(() =>
        new Verifier(each).verify(last.body, last.headers as Record<string, string>),
      ).not.toThrow();
    }
  });

  test("is told what is wrong, and nothing is done", async () => {
    const env = {
      EGRET_DATABASE_URL: egret.databaseUrl,
      EGRET_NATS_URL: egret.settings.natsUrl,
      EGRET_STREAM_PREFIX: egret.settings.streamPrefix,
      EGRET_SECRET_KEY: egret.settings.secretKeys.join(","),
    };
    for (const [args, message] of [
      [["deliveries", "redeliver", "9-9-9"], 'there is no delivery "9-9-9"'],
      [["deliveries", "show", "9-9-9"], 'there is no delivery "9-9-9"'],
      [["deliveries", "list", "--webhook", "pagr"], 'Did you mean "pager"?'],
      [["deliveries", "list", "--event", "sync.faild"], "Did you mean"],
      [["deliveries", "list", "--since", "yesterday"], "Give an instant such as"],
      [["deliveries", "list", "--after", "x"], "Give a cursor as a page before showed it"],
      [["replay", "start"], "nothing narrows this replay"],
      [["replay", "start", "--missed"], "--missed needs --webhook"],
      [["replay", "watch", "99"], "there is no replay 99"],
      [["replay", "cancel", "1"], "replay 1 has ended already"],
      [["webhook", "pause", "nobody"], 'there is no webhook "nobody"'],
      [["webhook", "rotate-secret", "pager", "--overlap", "x"], "Give a time such as"],
    ] as const) {
      const { code, stderr, stdout } = await runCli(args, env);
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: "" });
      expect(stderr).toContain(message);
    }
  });
});
