/** Forms of requests that clients in the wild send (api-clients.md 4), and those that are refused. */
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { type TestApi, testApi } from "../../support/api.ts";
import { type TestEgret, testEgret } from "../../support/egret.ts";

let egret: TestEgret;
let api: TestApi;

beforeAll(async () => {
  egret = await testEgret({ roles: ["api"] });
  api = await testApi(egret);
});

const JSON_TYPE = { "Content-Type": "application/json" };

/** What the server answers to these very bytes, until it closes or the answer's body is whole. */
function raw(lines: readonly string[], body: string | readonly string[] = ""): Promise<string> {
  const { hostname, port } = new URL(egret.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString();
      const [head = "", text] = answer.split("\r\n\r\n", 2);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN);
      if (text !== undefined && Buffer.byteLength(text) >= length) socket.destroy();
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", (error) => (answer === "" ? reject(error) : resolve(answer)));
    const head = [...lines, `Host: ${hostname}:${port}`, `Authorization: Bearer ${api.token}`];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    for (const part of typeof body === "string" ? [body] : body) socket.write(part);
  });
}

describe("a body that is not there", () => {
  test("is fine under a JSON content type, on any method", async () => {
    expect((await api.request("GET", "/workspace", undefined, JSON_TYPE)).status).toBe(200);
    expect((await api.request("DELETE", "/api_keys/999", undefined, JSON_TYPE)).status).toBe(404);
    // Nothing but a name is missing: the form of the request is not at fault.
    const { status, body } = await api.request("POST", "/api_keys", undefined, JSON_TYPE);
    expect(status).toBe(400);
    expect(body.errors).toMatchObject([{ field: "name" }]);
  });

  test("is fine without a content type and with Content-Length 0", async () => {
    const { status, body } = await api.request("POST", "/api_keys");
    expect(status).toBe(400);
    expect(body.errors).toMatchObject([{ field: "name" }]);
    expect(await raw(["POST /api/v1/api_keys HTTP/1.1", "Content-Length: 0"])).toMatch(
      /^HTTP\/1\.1 400[^]*"field":"name"/,
    );
    expect(await raw(["POST /api/v1/api_keys HTTP/1.1"])).toMatch(/^HTTP\/1\.1 400[^]*"field":"name"/);
  });
});

describe("a JSON body", () => {
  test("may have a content type with parameters, or one that ends in +json", async () => {
    for (const type of [
      "application/json;version=2",
      "application/json; charset=utf-8",
      "Application/JSON ; version=2; q=1",
      "application/vnd.api+json",
    ]) {
      const { status } = await api.post("/api_keys", '{"name":"a"}', { "Content-Type": type });
      expect({ type, status }).toEqual({ type, status: 201 });
    }
  });

  test("may come in chunks", async () => {
    const body = '{"name":"chunked"}';
    const answer = await raw(
      ["POST /api/v1/api_keys HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked"],
      [
        `${(5).toString(16)}\r\n${body.slice(0, 5)}\r\n`,
        `${(body.length - 5).toString(16)}\r\n${body.slice(5)}\r\n0\r\n\r\n`,
      ],
    );
    expect(answer).toMatch(/^HTTP\/1\.1 201/);
  });

  test("may hold fields that nobody knows", async () => {
    const { status } = await api.post("/api_keys", { name: "a", triggers: { dbt_cloud: {} }, type: 7 });
    expect(status).toBe(201);
  });

  test("that is broken is refused with the place of the fault", async () => {
    const { status, body } = await api.post("/api_keys", '{"name": "a",\n  nope}', JSON_TYPE);
    expect(status).toBe(400);
    expect(body.message).toBe(
      "The body is no JSON: a key in double quotes is expected at position 16 (line 2, column 3).",
    );
    for (const [text, reason] of [
      ["{", "it ends where a key in double quotes is expected"],
      ['{"a":1}}', "something follows its end"],
      ['{"a":01}', "a value is expected"],
      ['{"a":[1 2]}', '"," or "]" is expected'],
      ["nope", "a value is expected"],
    ]) {
      expect((await api.post("/api_keys", text, JSON_TYPE)).body.message).toContain(reason);
    }
  });

  test("has to be an object", async () => {
    for (const text of ["[]", "null", "7", '"x"']) {
      expect((await api.post("/api_keys", text, JSON_TYPE)).body.message).toContain("no JSON object");
    }
  });

  test("that is nested too deep or holds what no text can hold is refused", async () => {
    const deep = `{"name":"a","x":${"[".repeat(64)}${"]".repeat(64)}}`;
    const { status, body } = await api.post("/api_keys", deep, JSON_TYPE);
    expect(status).toBe(400);
    expect(body.message).toContain("deeper than 64 levels");
    const justFits = `{"name":"a","x":${"[".repeat(63)}${"]".repeat(63)}}`;
    expect((await api.post("/api_keys", justFits, JSON_TYPE)).status).toBe(201);
    for (const text of ['{"name":"a\\u0000"}', '{"name":"a\\ud800"}', '{"name":"a","\\u0000":1}']) {
      expect((await api.post("/api_keys", text, JSON_TYPE)).status).toBe(400);
    }
    expect((await api.get("/api_keys?order=%00")).status).toBe(400);
  });

  test("that is not UTF-8 is refused", async () => {
    const answer = await fetch(`${egret.url}/api/v1/api_keys`, {
      method: "POST",
      headers: { Authorization: `Bearer ${api.token}`, ...JSON_TYPE },
      body: Buffer.from([0x7b, 0xff, 0x7d]),
    });
    expect(answer.status).toBe(400);
  });
});

describe("what is too large", () => {
  const big = "x".repeat(1_048_576);

  test("is refused with the limit, by its length and as it comes in", async () => {
    const { status, body } = await api.post("/api_keys", `{"name":"${big}"}`, JSON_TYPE);
    expect(status).toBe(413);
    expect(body.message).toContain("1048576 bytes");
    const chunk = `${(65_536).toString(16)}\r\n${"x".repeat(65_536)}\r\n`;
    const answer = await raw(
      ["POST /api/v1/api_keys HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked"],
      Array.from({ length: 20 }, () => chunk),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413/);
  });

  test("does not have to be sent whole before it is refused", async () => {
    const answer = await raw([
      "POST /api/v1/api_keys HTTP/1.1",
      "Content-Type: application/json",
      "Content-Length: 90000000",
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 413/);
  });
});

describe("other media types", () => {
  test("are refused with 415 when there is a body", async () => {
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/jsonp",
    ]) {
      const { status, body } = await api.post("/api_keys", "name=a", { "Content-Type": type });
      expect({ type, status }).toEqual({ type, status: 415 });
      expect(body).toMatchObject({ status: "error", code: 415 });
      expect(body.message).toContain("application/json");
    }
    const none = await raw(["POST /api/v1/api_keys HTTP/1.1", "Content-Length: 12"], '{"name":"a"}');
    expect(none).toMatch(/^HTTP\/1\.1 415/);
  });
});

describe("a body that is packed", () => {
  test("is refused with what to send instead, unless it is not packed at all", async () => {
    const packed = await fetch(`${egret.url}/api/v1/api_keys`, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${api.token}`,
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
      },
      body: gzipSync('{"name":"packed"}'),
    });
    expect([packed.status, packed.headers.get("Accept-Encoding")]).toEqual([415, "identity"]);
    expect(await packed.text()).toContain("gzip");
    const plain = await api.post("/api_keys", { name: "plain" }, { "Content-Encoding": "identity" });
    expect(plain.status).toBe(201);
  });
});

describe("a field of another kind", () => {
  test("is refused once, with what it must be", async () => {
    const { body } = await api.post("/syncs", { source_attributes: "x", mappings: {}, paused: 5 });
    expect(body.errors).toEqual(
      expect.arrayContaining([
        { field: "source_attributes", message: "Must be a map." },
        { field: "destination_attributes", message: "Is missing; give a map." },
      ]),
    );
    const webhook = await api.post("/webhooks", { name: "a", endpoint: [] });
    expect(webhook.body.errors).toHaveLength(1);
    const dataset = await api.post("/datasets", { name: "a", type: "sql", query: "select 1" });
    expect(dataset.body.errors).toEqual([{ field: "source_id", message: "Give an id, such as 42." }]);
    expect((await api.post("/api_keys", {})).body.errors).toEqual([
      { field: "name", message: "Is missing; give a text." },
    ]);
  });
});

describe("paths and methods", () => {
  test("a slash at the end does not count", async () => {
    expect((await api.get("/workspace/")).body).toEqual((await api.get("/workspace")).body);
    expect((await api.get("/api_keys/?per_page=1")).status).toBe(200);
  });

  test("an unknown path answers 404 in JSON", async () => {
    for (const path of ["/nothing", "/", "", "/workspace/x/y"]) {
      const { status, body } = await api.get(path);
      expect({ path, status }).toEqual({ path, status: 404 });
      expect(body).toEqual({ status: 404, message: "Not found", code: 404 });
    }
  });

  test("a path with another method answers 405 with those that there are", async () => {
    const { status, headers, body } = await api.request("PUT", "/api_keys");
    expect(status).toBe(405);
    expect(headers.get("Allow")).toBe("GET, POST, HEAD");
    expect(body).toMatchObject({ status: "error", code: 405 });
    expect((await api.delete("/workspace")).headers.get("Allow")).toBe("GET, HEAD");
  });

  test("HEAD answers like GET, without a body", async () => {
    const { status, body, headers } = await api.request("HEAD", "/workspace");
    expect(status).toBe(200);
    expect(body).toBeNull();
    expect(headers.get("Content-Type")).toContain("application/json");
    expect((await api.request("HEAD", "/nothing")).status).toBe(404);
  });

  test("an id that is none is an object that does not exist", async () => {
    for (const id of ["0", "x", "-1", "1.5", "9999999999999999", "99999999999999999999", "%00", "1%2F2"]) {
      const { status } = await api.get(`/api_keys/${id}`);
      expect({ id, isRefused: status === 404 || (id === "%00" && status === 400) }).toEqual({
        id,
        isRefused: true,
      });
    }
  });

  test("a query that is absurd or given twice is refused by the name of its field", async () => {
    for (const query of [
      "page=x",
      "page=-1",
      "per_page=1e9",
      "order=up",
      "page=1&page=2",
      "cursor=0",
      "cursor=x",
    ]) {
      const { status, body } = await api.get(`/api_keys?${query}`);
      expect({ query, status }).toEqual({ query, status: 400 });
      expect(body.errors[0].field).toBe(query.split("=")[0]);
    }
    expect((await api.get("/api_keys?page=0&per_page=250&surprise=1")).body.pagination).toMatchObject({
      page: 1,
      per_page: 100,
    });
  });
});
