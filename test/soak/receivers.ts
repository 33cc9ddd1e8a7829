/** Starts the receivers of a soak and asks them what they saw. */
import { fork } from "node:child_process";
import path from "node:path";
import type { SoakOptions } from "./soakPlan.ts";

/** What came over the wire. */
export interface Witness {
  requests: number;
  /** By delivery id: number of the attempt, and when its request had come (ms), in the order of coming. */
  deliveries: Record<string, [attempt: number, at: number][]>;
  /** Requests that are no delivery of the plan, or came to another webhook, or with another event's id. */
  strangers: number;
  badSignatures: number;
  /** Bodies that are not the bytes of the event. */
  badBodies: number;
}

/** What the receivers can be asked. */
export type ReceiversQuestion =
  | { kind: "open"; options: SoakOptions }
  | { kind: "secrets"; secrets: readonly string[] }
  | { kind: "count" }
  | { kind: "report" };
export interface ReceiversAnswer {
  error?: string;
  endpoints?: string[];
  requests?: number;
  witness?: Witness;
}

/** Receivers that run. */
export interface Receivers {
  /** Address of each webhook, by target; nobody listens at the dead one's. */
  endpoints: readonly string[];
  /** Tells the secrets by which signatures are checked, by target. */
  tellSecrets(secrets: readonly string[]): Promise<void>;
  /** Requests so far. */
  count(): Promise<number>;
  report(): Promise<Witness>;
  close(): Promise<void>;
}

/** Starts them in a process of their own. */
export async function startReceivers(options: SoakOptions): Promise<Receivers> {
  const child = fork(path.join(import.meta.dirname, "receiversProgram.ts"), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    serialization: "advanced",
  });
  const gone = new Promise<number | null>((resolve) => child.once("exit", resolve));
  let asking: Promise<unknown> = nextReply();
  function nextReply(): Promise<ReceiversAnswer> {
    return new Promise((resolve, reject) => {
      child.once("message", (reply: ReceiversAnswer) => {
        if (reply.error === undefined) resolve(reply);
        else reject(new Error(reply.error));
      });
      void gone.then((code) => reject(new Error(`the receivers ended with ${code}`)));
    });
  }
  /** One question at a time. */
  function ask(question: ReceiversQuestion): Promise<ReceiversAnswer> {
    const answered = asking.then(async () => {
      const reply = nextReply();
      child.send(question);
      return reply;
    });
    asking = answered;
    return answered;
  }
  const { endpoints = [] } = await ask({ kind: "open", options });
  return {
    endpoints,
    tellSecrets: async (secrets) => void (await ask({ kind: "secrets", secrets })),
    count: async () => (await ask({ kind: "count" })).requests ?? 0,
    async report() {
      const { witness } = await ask({ kind: "report" });
      if (witness === undefined) throw new Error("the receivers told nothing");
      return witness;
    },
    async close() {
      if (child.connected) child.disconnect();
      await gone;
    },
  };
}
