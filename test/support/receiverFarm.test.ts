import { createHash } from "node:crypto";
import { connect } from "node:net";
import { Agent } from "undici";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { alternate, answers, atRandom, byPath, inOrder, type Rule } from "./farmAnswers.ts";
import { type ReceiverFarm, startReceiverFarm } from "./receiverFarm.ts";

async function start(rule?: Rule): Promise<ReceiverFarm> {
  const farm = await startReceiverFarm(rule === undefined ? {} : { rule });
  onTestFinished(() => farm.close());
  return farm;
}

// One connection, so that what belongs to the receiver is told from the moods of a pool.
const agent = new Agent({ connections: 1 });
afterAll(() => agent.destroy());

async function ask(
  url: string,
  options: { headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<number> {
  const { origin, pathname, search } = new URL(url);
  const { statusCode, body } = await agent.request({
    origin,
    path: pathname + search,
    method: "POST",
    body: "é",
    ...options,
  });
  await body.arrayBuffer();
  return statusCode;
}

describe("the receiver farm", () => {
  test("records path, headers, the hash of the body, time and connection of every request", async () => {
    const farm = await start();
    const before = Date.now();
    await ask(`${farm.url}/hook?a=1`, { headers: { "X-Id": "7" } });
    await ask(`${farm.url}/other`);
    const [first, second] = farm.requests;

    expect(first).toMatchObject({ number: 1, method: "POST", path: "/hook?a=1", bodyBytes: 2 });
    expect(first?.headers["x-id"]).toBe("7");
    expect(first?.bodySha256).toBe(createHash("sha256").update("é").digest("hex"));
    expect(first?.at).toBeGreaterThanOrEqual(before);
    expect(second).toMatchObject({ number: 2, connection: 1, onConnection: 2 });
    expect(farm.connections()).toEqual({ open: 1, ever: 1 });
  });

  test("answers by a rule: in order, in turn, by path, at random from a seed", async () => {
    const ok = answers.ok;
    const bad = answers.status(503);
    const farm = await start(byPath({ "/order": inOrder(bad, bad, ok), "/turn": alternate(bad, ok) }));
    const statuses = async (path: string, count: number) => {
      const seen: number[] = [];
      for (let n = 0; n < count; n += 1) seen.push(await ask(farm.url + path));
      return seen;
    };

    expect(await statuses("/order", 4)).toEqual([503, 503, 200, 200]);
    expect(await statuses("/turn", 4)).toEqual([503, 200, 503, 200]);
    expect(await statuses("/nowhere", 1)).toEqual([404]);
    farm.answerWith(atRandom(7, [[0.3, bad]], ok));
    const random = await statuses("/", 100);
    farm.answerWith(atRandom(7, [[0.3, bad]], ok));
    expect(await statuses("/", 100)).toEqual(random);
    const failed = random.filter((status) => status === 503).length;
    expect(failed).toBeGreaterThan(15);
    expect(failed).toBeLessThan(45);
  });

  test("breaks off, hangs, drips and lies as it is told", async () => {
    const farm = await start();
    const fails = async (rule: Rule, signal?: AbortSignal) => {
      farm.answerWith(rule);
      await expect(ask(farm.url, signal === undefined ? {} : { signal })).rejects.toThrow(/./);
    };
    await fails(answers.reset);
    await fails(answers.close);
    await fails(answers.resetInHeaders);
    await fails(answers.closeInBody());
    await fails(answers.notHttp);
    await fails(answers.hang, AbortSignal.timeout(50));
    await fails(answers.hangInBody(), AbortSignal.timeout(50));
    farm.answerWith(answers.drip(1));
    expect(await ask(farm.url)).toBe(200);
    farm.answerWith(answers.informed([102, 103], answers.status(201)));
    expect(await ask(farm.url)).toBe(201);
    await expect.poll(() => farm.connections().open).toBeLessThanOrEqual(1);
  });

  test("answers before it has read anything, and then reads on", async () => {
    const farm = await start(answers.status(202));
    farm.greetWith(answers.status(200));
    const socket = connect(farm.port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    let said = "";
    socket.setEncoding("latin1").on("data", (text: string) => {
      said += text;
    });
    const statuses = () => [...said.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => Number(code));
    await expect.poll(statuses).toEqual([200]);
    expect(farm.requests).toHaveLength(0);
    socket.write("POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx".repeat(2));
    await expect.poll(statuses).toEqual([200, 202]);
    expect(farm.requests).toHaveLength(2);
  });
});
