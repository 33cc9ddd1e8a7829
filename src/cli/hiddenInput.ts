/** Reads a secret that a person types or a pipe brings; it is not shown. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { InvalidInput } from "../domain/errors.ts";

/**
 * The first line that is not empty: asked for on a terminal, else from standard input.
 * @throws InvalidInput when there is none, or whoever was asked pressed Ctrl-C.
 */
export async function hiddenInput(question: string): Promise<string> {
  const given = process.stdin.isTTY ? await asked(question) : await text(process.stdin);
  const secret = given.trim().split("\n")[0]?.trim() ?? "";
  if (secret !== "") return secret;
  throw new InvalidInput(
    `${question.replace(/:?\s*$/, "")} is missing: type it, or send it by standard input`,
  );
}

async function asked(question: string): Promise<string> {
  const swallowing = new Writable({ write: (_chunk, _encoding, done) => done() });
  const stop = new AbortController();
  const lines = createInterface({ input: process.stdin, output: swallowing, terminal: true });
  lines.once("SIGINT", () => stop.abort());
  // Beside the result: standard output may be a file.
  process.stderr.write(question);
  try {
    return await lines.question("", { signal: stop.signal }).catch(() => "");
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
