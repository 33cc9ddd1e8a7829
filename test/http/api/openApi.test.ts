/** The API's document and its page. */
import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;
// oxlint-disable-next-line no-explicit-any -- a document of many shapes
let document: any;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
  const answer = await fetch(`${egret.url}/api/v1/openapi.json`);
  expect(answer.headers.get("Content-Type")).toContain("application/json");
  document = await answer.json();
});

// oxlint-disable-next-line no-explicit-any -- a document of many shapes
const operations = (): [string, any][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    // oxlint-disable-next-line no-explicit-any -- a document of many shapes
    Object.entries(methods as object).map(([method, operation]): [string, any] => [
      `${method} ${path}`,
      operation,
    ]),
  );

describe("the document", () => {
  test("is OpenAPI 3.1, readable without a token, with its server and its ways to authenticate", () => {
    expect(document.openapi).toBe("3.1.0");
    expect(document.info.version).toMatch(/^\d+\.\d+/);
    expect(document.servers).toEqual([{ url: "/api/v1", description: "this server" }]);
    expect(document.components.securitySchemes).toMatchObject({
      bearer: { type: "http", scheme: "bearer" },
      basic: { type: "http", scheme: "basic" },
    });
  });

  test("says of each operation what it does, in which group, and with which right", () => {
    const tags = document.tags.map(({ name }: { name: string }) => name);
    expect(operations().length).toBeGreaterThan(10);
    for (const [name, operation] of operations()) {
      expect({ name, summary: operation.summary }).toEqual({ name, summary: expect.stringMatching(/./) });
      expect({ name, scope: operation["x-egret-scope"] }).toEqual({
        name,
        scope: expect.stringMatching(/^(read|operate|admin)$/),
      });
      expect(operation.security).toEqual([{ bearer: [] }, { basic: [] }]);
      expect(tags).toContain(operation.tags[0]);
      for (const status of ["400", "401", "403", "429", "500"])
        expect(operation.responses).toHaveProperty(status);
    }
  });

  test("describes every group that it has", () => {
    for (const tag of document.tags)
      expect(tag).toEqual({ name: tag.name, description: expect.stringMatching(/./) });
  });

  test("gives an example of every body", () => {
    for (const [name, { requestBody }] of operations()) {
      if (requestBody === undefined) continue;
      expect({ name, example: requestBody.content["application/json"].example }).toEqual({
        name,
        example: expect.anything(),
      });
    }
  });

  test("names only schemas that it has, and does not name one twice", () => {
    const names = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(
      ([, name]) => name,
    );
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(document.components.schemas).toHaveProperty(name as string);
  });

  test("has every route that answers, so that each can be looked up", async () => {
    for (const [name, operation] of operations()) {
      const [method = "", path = ""] = name.split(" ");
      if (operation["x-egret-token"] === "personal" || method !== "get" || path.includes("{")) continue;
      const { status } = await api.get(path);
      expect({ name, isFound: status !== 404 && status !== 405 }).toEqual({ name, isFound: true });
    }
  });

  test("says what of the answer of GET /workspace is true", async () => {
    const { data } =
      document.paths["/workspace"].get.responses["200"].content["application/json"].schema.properties;
    expect(data).toEqual({ $ref: "#/components/schemas/Workspace" });
    const shape = document.components.schemas.Workspace;
    const { body } = await api.get("/workspace");
    expect(Object.keys(body.data).sort()).toEqual(Object.keys(shape.properties).sort());
  });
});

describe("/docs", () => {
  test("shows each operation with its example, and brings everything along", async () => {
    const answer = await fetch(`${egret.url}/docs`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("Content-Type")).toContain("text/html");
    const page = await answer.text();
    for (const [name, { summary }] of operations()) {
      const [method = "", path = ""] = name.split(" ");
      expect(page).toContain(method.toUpperCase());
      expect(page).toContain(path);
      expect(page).toContain(
        summary.replaceAll("&", "&amp;").replaceAll("'", "&#39;").replaceAll('"', "&quot;"),
      );
    }
    expect(page).toContain(`${egret.url}/api/v1/workspace`);
    expect(page).not.toMatch(/<(script|link|img|iframe)\b/);
    expect(page).not.toMatch(/\b(src|on\w+)=/);
    // Links lead within the page or to the document.
    const links = [...page.matchAll(/href="([^"]*)"/g)].map(([, link = ""]) => link);
    expect(links.length).toBeGreaterThan(20);
    for (const link of links) {
      if (link.startsWith("#")) expect(page).toContain(`id="${link.slice(1)}"`);
      else expect(link).toBe("/api/v1/openapi.json");
    }
  });

  test("allows nothing but its own style", async () => {
    const answer = await fetch(`${egret.url}/docs`);
    const policy = answer.headers.get("Content-Security-Policy") ?? "";
    const [, style = ""] = /<style>([^]*?)<\/style>/.exec(await answer.text()) ?? [];
    const hash = createHash("sha256").update(style).digest("base64");
    expect(policy.split("; ")).toEqual([
      "default-src 'none'",
      `style-src 'sha256-${hash}'`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ]);
  });
});
