import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { NODE_OPTIONS } from "../support/nodeOptions.ts";

const root = path.resolve(import.meta.dirname, "../..");
const text = (name: string) => readFileSync(path.join(root, name), "utf8");

describe("Options of Node", () => {
  test("keep compiled code through idle times, however Egret is started", () => {
    expect(NODE_OPTIONS).toEqual(["--no-memory-reducer"]);
    const [option = ""] = NODE_OPTIONS;
    const { demo, start, egret } = packageJson.scripts;
    for (const script of [demo, start, egret]) expect(script).toContain(`node ${option} src/cli/egret.ts`);
    expect(text("bin/egret")).toContain(`warm=${option}\n`);
    expect(text("bin/egret").match(/^ *exec .*$/gm)).toEqual([
      expect.stringContaining('"$warm" "$root'),
      expect.stringContaining('"$warm" "$root'),
    ]);
    expect(text("Dockerfile")).toContain(`CMD ["node", "${option}", "src/cli/egret.ts"`);
  });
});
