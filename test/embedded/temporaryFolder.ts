/** A folder under a closed one, as a checkout in somebody's home is; removed after the test. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTestFinished } from "vitest";

/** Makes the folder with mode 0700, which is what mkdtemp does, and sees to its removal. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "egret-embedded-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
