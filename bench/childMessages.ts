/** Asks a child process and waits for its answer, one question at a time. */
import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";

/** A child that answers messages. */
export interface Child {
  pid: number;
  ask<Answer>(question: object): Promise<Answer>;
  /** Lets it end by itself. */
  close(): Promise<void>;
  /** Ends it as a crash would (kill -9). */
  kill(): Promise<void>;
}

/**
 * Forks a program of this folder and resolves once it has said that it is ready. Its standard output is thrown away:
 * it writes its log lines, but nobody pays for reading them. `execArgv` are options of Node; none are inherited.
 * @throws when it ends before, or while it is asked.
 */
export async function startChild(
  file: string,
  { env = {}, execArgv = [] }: { env?: Record<string, string>; execArgv?: string[] } = {},
): Promise<Child> {
  const child = fork(path.join(import.meta.dirname, file), {
    env: { ...process.env, ...env },
    execArgv,
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    // Arrivals and the like come by the thousand: structured clones are quicker than JSON.
    serialization: "advanced",
  });
  const gone = new Promise<number | null>((resolve) => child.once("exit", resolve));
  await answer(file, child, gone);
  return {
    pid: child.pid ?? 0,
    async ask<Answer>(question: object) {
      const answered = answer(file, child, gone);
      child.send(question);
      return (await answered) as Answer;
    },
    async close() {
      if (child.connected) child.disconnect();
      await gone;
    },
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

function answer(file: string, child: ChildProcess, gone: Promise<number | null>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: { error?: string }) => {
      if (message.error === undefined) resolve(message);
      else reject(new Error(message.error));
    };
    child.once("message", onMessage);
    void gone.then((code) => {
      child.off("message", onMessage);
      reject(new Error(`${file} ended with ${code}`));
    });
  });
}

/** The child's side: answers each message with what `handle` returns, and ends when its parent is gone. */
export function answerMessages(
  handle: (question: never) => Promise<object> | object,
  close: () => Promise<void>,
): void {
  process.on("message", (question) => {
    void (async () => handle(question as never))().then(
      (reply) => process.send?.(reply),
      (error: Error) => process.send?.({ error: error.stack ?? error.message }),
    );
  });
  process.once("disconnect", () => void close().finally(() => process.exit(0)));
  process.send?.({});
}
