import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readEgretFile } from "../../src/configuration/egretFile.ts";

const options = { env: {}, allowHttp: false };
let dir = "";

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "egret-file-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function fileOf(content: string | Buffer): Promise<string> {
  const file = path.join(dir, "egret.yaml");
  await writeFile(file, content);
  return file;
}

test("reads a file, with or without a byte order mark", async () => {
  expect((await readEgretFile(await fileOf("workspace: demo\n"), options)).workspace).toBe("demo");
  expect((await readEgretFile(await fileOf("\uFEFFworkspace: demo\n"), options)).workspace).toBe("demo");
});

test("says that a file does not exist", async () => {
  const file = path.join(dir, "none.yaml");
  await expect(readEgretFile(file, options)).rejects.toThrow(`${file} does not exist`);
});

test("says that a file is a folder", async () => {
  await expect(readEgretFile(dir, options)).rejects.toThrow(`${dir} is a folder; name the file in it`);
});

test("says that a file is too large", async () => {
  const file = await fileOf(`# ${"x".repeat(1_048_576)}`);
  await expect(readEgretFile(file, options)).rejects.toThrow("is larger than 1 MiB");
});

test("says that a file is not UTF-8", async () => {
  const file = await fileOf(Buffer.from("workspace: caf\xe9", "latin1"));
  await expect(readEgretFile(file, options)).rejects.toThrow("is not UTF-8 text");
});
