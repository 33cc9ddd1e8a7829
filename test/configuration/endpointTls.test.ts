import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Applied, applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { planChanges } from "../../src/configuration/plan.ts";
import { readDestination, readWebhook } from "../../src/configuration/store.ts";
import { InvalidInput } from "../../src/domain/errors.ts";
import { type OpenDatabase, openDatabase } from "../../src/projections/database.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";
import { testDatabase } from "../support/namespace.ts";

const box = openSecretBox([randomBytes(32).toString("base64")]);
const authority = makeAuthority("A partner's authority");
const client = makeCertificate({ names: ["egret.example"], by: authority });
const stranger = makeCertificate({ names: ["other.example"], by: authority });
const env = { CA: authority.cert, CERT: client.cert, KEY: client.key, OTHER_KEY: stranger.key };
const ALL = "{ ca: ${CA}, client_certificate: ${CERT}, client_key: ${KEY} }";
let database: OpenDatabase;

beforeAll(async () => {
  database = openDatabase((await testDatabase({ migrated: true })).url);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.pool.query(
    "truncate egret.workspaces, egret.destinations, egret.webhooks, egret.outbox cascade",
  );
});

const text = (tls: string, url = "https://ops.example/in"): string => `workspace: demo
destinations:
  ops: { type: webhook, url: "${url}"${tls === "" ? "" : `, tls: ${tls}`} }
webhooks:
  pager: { endpoint: "https://pager.example/in"${tls === "" ? "" : `, tls: ${tls}`} }
`;
const parse = (content: string) => parseEgretFile(content, "egret.yaml", { env, allowHttp: false });

async function apply(content: string): Promise<Applied> {
  const { db } = database;
  const plan = await planChanges({ db, box, file: parse(content), describe: () => Promise.resolve([]) });
  return applyChanges({ db, box, plan, actor: "egret apply" });
}

async function read() {
  const { db } = database;
  const ids = async (table: "egret.webhooks" | "egret.destinations") =>
    (await db.selectFrom(table).select("id").executeTakeFirstOrThrow()).id;
  return {
    webhook: await readWebhook(db, box, await ids("egret.webhooks")),
    destination: await readDestination(db, box, await ids("egret.destinations")),
  };
}

function faults(content: string): string[] {
  try {
    parse(content);
  } catch (error) {
    return (error as InvalidInput).problems.map(({ field, message }) => `${field} | ${message}`);
  }
  return [];
}

describe("TLS settings in egret.yaml", () => {
  test("are stored encrypted, and read back by who sends", async () => {
    await apply(text(ALL));
    const tls = { ca: env.CA, client_certificate: env.CERT, client_key: env.KEY };
    const { webhook, destination } = await read();
    expect(webhook?.tls).toEqual(tls);
    expect(destination?.secrets.tls).toEqual(tls);
    for (const table of ["egret.webhooks", "egret.destinations", "egret.outbox"]) {
      const { rows } = await database.pool.query(`select * from ${table}`);
      expect(rows.length).toBeGreaterThan(0);
      expect(JSON.stringify(rows)).not.toContain("BEGIN");
    }
    const { rows } = await database.pool.query<{ data: { settings: object } }>(
      "select data from egret.outbox where kind in ('webhook', 'destination') order by kind",
    );
    expect(rows.map(({ data }) => data.settings)).toEqual([
      expect.objectContaining({ secrets_set: ["tls"] }),
      expect.objectContaining({ secrets_set: ["tls"] }),
    ]);
  });

  test("change nothing when applied again, and of a change only that it is one is told", async () => {
    await apply(text(ALL));
    const again = await apply(text(ALL));
    expect(again.changes.every(({ action }) => action === "unchanged")).toBe(true);
    const { changes } = await apply(text("{ ca: ${CA} }"));
    expect(changes.filter(({ action }) => action === "update").map(({ fields }) => fields)).toEqual([
      [{ field: "tls", secret: true }],
      [{ field: "tls", secret: true }],
    ]);
    expect((await read()).webhook?.tls).toEqual({ ca: env.CA });
  });

  test("are gone when they are taken out", async () => {
    await apply(text(ALL));
    await apply(text(""));
    const { webhook, destination } = await read();
    expect(webhook?.tls).toBeUndefined();
    expect(destination?.secrets.tls).toBeUndefined();
  });

  test("are refused with file, line, field and fix when the key does not fit", () => {
    const found = faults(text("{ client_certificate: ${CERT}, client_key: ${OTHER_KEY} }"));
    const message = "The key does not belong to the first certificate in `client_certificate`";
    expect(found).toEqual([
      expect.stringMatching(
        new RegExp(`^destinations\\.ops\\.tls\\.client_key \\| egret\\.yaml:3:\\d+: ${message}`),
      ),
      expect.stringMatching(
        new RegExp(`^webhooks\\.pager\\.tls\\.client_key \\| egret\\.yaml:5:\\d+: ${message}`),
      ),
    ]);
    expect(found.join()).not.toContain("BEGIN PRIVATE");
  });

  test("are refused when they are no PEM, empty, misspelled, or stand beside http", () => {
    expect(faults(text("{ ca: hunter2 }"))).toHaveLength(2);
    expect(faults(text("{}"))).toEqual([
      expect.stringContaining("Give `ca`, or `client_certificate` and `client_key`, or leave `tls` out."),
      expect.stringContaining("Give `ca`"),
    ]);
    expect(faults(text("{ cert: ${CERT} }")).join()).toContain("destinations.ops.tls");
    expect(faults(text("{ ca: ${CA} }", "http://ops.example/in"))).toEqual([
      expect.stringContaining("An http:// address has no TLS; write https://, or leave `tls` out."),
    ]);
  });

  test("warn of a key that stands in the file itself", () => {
    const literal = `{ client_certificate: \${CERT}, client_key: ${JSON.stringify(env.KEY)} }`;
    expect(parse(text(literal)).warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining("A secret stands in the file; give it by ${NAME}."),
      expect.stringContaining("A secret stands in the file; give it by ${NAME}."),
    ]);
    expect(parse(text(ALL)).warnings).toEqual([]);
  });
});

describe("what configuration would put into a request", () => {
  const ops = (fields: string) => `workspace: demo
destinations:
  ops: { type: webhook, url: "https://ops.example/in", ${fields} }
`;

  test.each([
    [
      "a line in a header's value",
      'headers: { X-A: "a\\r\\nx-event-id: forged" }',
      "headers.X-A",
      "holds a line break",
    ],
    [
      "a line in a header's name",
      'headers: { "X-A\\r\\nX-B": "a" }',
      "headers",
      "letters, digits and hyphens",
    ],
    ["a line in the token", 'auth_token: "a\\nb"', "auth_token_header", "holds a line break"],
    [
      "a header of the connection",
      "headers: { Transfer-Encoding: chunked }",
      "headers.Transfer-Encoding",
      "belongs to the connection",
    ],
    ["another host", "headers: { host: internal }", "headers.host", "belongs to the connection"],
    ["a header of ours", "headers: { x-signature: forged }", "headers.x-signature", "is written by Egret"],
    [
      "a token in a header of ours",
      "auth_token: a, auth_token_header: X-Event-Id",
      "auth_token_header",
      "is written by Egret",
    ],
    ["a NUL", 'headers: { X-A: "a\\0b" }', "headers.X-A", "not plain ASCII"],
  ])("is refused: %s", (_what, fields, field, message) => {
    expect(faults(ops(fields))).toEqual([
      expect.stringMatching(
        new RegExp(`^destinations\\.ops\\.${field}.*\\| egret\\.yaml:3:\\d+: .*${message}`, "s"),
      ),
    ]);
  });

  test("is refused in a URL: a user, a line, a fragment, a path that turns round", () => {
    const target = (url: string) =>
      `workspace: demo\ndestinations:\n  ops: { type: webhook, url: "${url}" }\n`;
    for (const url of [
      "https://user:hunter2@ops.example/",
      "https://ops.example/\\r\\nHost: internal",
      "https://ops.example/#x",
      "https:\\\\\\\\ops.example",
    ]) {
      const found = faults(target(url));
      expect([url, found]).toEqual([
        url,
        [expect.stringMatching(/^destinations\.ops\.url \| egret\.yaml:3:/)],
      ]);
      expect(found.join()).not.toContain("hunter2");
    }
  });
});
