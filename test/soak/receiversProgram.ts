/**
 * The receivers of a soak, in a process of their own that nobody kills: the witness of what was sent. They answer by the
 * plan and write down each request.
 */
import { createHmac } from "node:crypto";
import { createServer } from "node:net";
import { sha256Hex } from "../../src/runtime/deliveries/deliveryActor.ts";
import { answers, type FarmRequest } from "../support/farmAnswers.ts";
import { type ReceiverFarm, startReceiverFarm } from "../support/receiverFarm.ts";
import type { ReceiversAnswer, ReceiversQuestion, Witness } from "./receivers.ts";
import { DEAD_TARGET, eventId, fateOf, pendingOf, plannedOf, type SoakOptions } from "./soakPlan.ts";

/** Below the ports that systems give out by themselves: one found free stays free, and nobody connects to itself there. */
const LOWEST_PORT = 10_240;
const HIGHEST_PORT = 32_000;

let options: SoakOptions | null = null;
let secrets: readonly string[] = [];
const farms: ReceiverFarm[] = [];
const witness: Witness = { requests: 0, deliveries: {}, strangers: 0, badSignatures: 0, badBodies: 0 };

/** A port of the loopback interface where nobody listens. */
async function unusedPort(): Promise<number> {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

function check(plan: SoakOptions, { headers, bodySha256 }: FarmRequest, body: Buffer, target: number): void {
  const planned = plannedOf(headers["x-delivery-id"] ?? "");
  if (planned === null || planned.target !== target || headers["x-event-id"] !== eventId(planned.event)) {
    witness.strangers += 1;
    return;
  }
  if (bodySha256 !== sha256Hex(pendingOf(plan, planned, []).payload ?? "")) witness.badBodies += 1;
  const signature = createHmac("sha256", secrets[target] ?? "")
    .update(body)
    .digest("base64");
  if (headers["x-signature"] !== signature) witness.badSignatures += 1;
}

async function open(plan: SoakOptions): Promise<ReceiversAnswer> {
  options = plan;
  const endpoints: string[] = [];
  for (let target = 0; target < plan.targets; target += 1) {
    if (target === DEAD_TARGET) {
      endpoints.push(`http://127.0.0.1:${await unusedPort()}/`);
      continue;
    }
    const farm = await startReceiverFarm({
      keepsRequests: false,
      rule(request, body) {
        witness.requests += 1;
        check(plan, request, body, target);
        const id = request.headers["x-delivery-id"] ?? "";
        const attempt = Number(request.headers["x-delivery-attempt"]);
        (witness.deliveries[id] ??= []).push([attempt, request.at]);
        const planned = plannedOf(id);
        return planned === null ? answers.status(400) : fateOf(plan, planned, attempt).answer;
      },
    });
    farms.push(farm);
    endpoints.push(`${farm.url}/`);
  }
  return { endpoints };
}

async function answer(question: ReceiversQuestion): Promise<ReceiversAnswer> {
  switch (question.kind) {
    case "open":
      return open(question.options);
    case "secrets":
      secrets = question.secrets;
      return {};
    case "count":
      return { requests: witness.requests };
    case "report":
      if (options === null) throw new Error("there are no receivers yet");
      return { witness };
  }
}

process.on("message", (question: ReceiversQuestion) => {
  void answer(question).then(
    (reply) => process.send?.(reply),
    (error: Error) => process.send?.({ error: error.message }),
  );
});
process.once("disconnect", () => process.exit(0));
// Ctrl-C reaches the whole group: who started us decides when we end.
process.on("SIGINT", () => undefined);
process.send?.({});
