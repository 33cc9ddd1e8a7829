import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { applyChanges } from "../../src/configuration/apply.ts";
import { parseEgretFile } from "../../src/configuration/egretFile.ts";
import { planChanges } from "../../src/configuration/plan.ts";
import { readDestination } from "../../src/configuration/store.ts";
import { InvalidInput } from "../../src/domain/errors.ts";
import { openDatabase } from "../../src/projections/database.ts";
import { openSecretBox } from "../../src/security/secretBox.ts";
import { testDatabase } from "../support/namespace.ts";

const env = { API_KEY: "k3y-of-the-api", CLIENT_SECRET: "s3cret-of-the-client" };

/** An egret.yaml with one http_request destination with these lines, and one sync to it. */
const yaml = (lines: string, sync = "mappings: [name]") => `
workspace: demo
sources: { warehouse: { type: postgres, url: "postgres://user@127.0.0.1/db" } }
destinations:
  crm:
    type: http_request
    url: http://127.0.0.1:8080/v2
${lines.replaceAll(/^/gm, "    ")}
syncs:
  people: { table: public.people, source: warehouse, destination: crm, key: id, ${sync} }
`;
const describeObject = async () => [
  { name: "id", type: "integer" },
  { name: "name", type: "text" },
];

function problemsOf(text: string): string[] {
  try {
    parseEgretFile(text, "egret.yaml", { env, allowHttp: true, outboundAllow: ["127.0.0.0/8"] });
    return [];
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    return error.problems.map(({ field, message }) => `${field} | ${message.replace(/^\S+: /, "")}`);
  }
}

describe("an http_request destination in egret.yaml", () => {
  test.each([
    ["path: contacts", "destinations.crm.path | A path begins with /"],
    ["path: /a//b", "destinations.crm.path | The path cannot be used: a part of it is empty"],
    ["path: '/a/{{ record.id'", "destinations.crm.path | The template cannot be used: "],
    ["path: '/a/{{ id }}'", "destinations.crm.path | The template cannot be used: "],
    ["payload: { json: '{{ records | json }}' }", "destinations.crm.payload | The template cannot be used: "],
    ["payload: { json: '{% include x %}' }", "destinations.crm.payload | The template cannot be used: "],
    ["payload: xml", "destinations.crm.payload | Write `columns`, `form` or `empty`, or a map with"],
    ["method: GET", "destinations.crm.payload | A GET has no body"],
    ["headers: { Content-Type: text/xml }", "destinations.crm.headers.Content-Type | The header"],
    ['url_parameters: { key: "a\\nb" }', "destinations.crm.url_parameters.key | Holds a control character"],
    [
      "oauth: { token_url: ftp://x, client_id: a, client_secret: b }",
      "destinations.crm.oauth.token_url | Write a whole address",
    ],
    ["auth_token: x", 'destinations.crm.auth_token | Unknown key "auth_token"'],
    [
      "requests_per_secnd: 3",
      'destinations.crm.requests_per_secnd | Unknown key "requests_per_secnd". Did you mean "requests_per_second"?',
    ],
    [
      "row_results: { results_path: a..b }",
      "destinations.crm.row_results.results_path | Write names with dots",
    ],
  ])("with %s is refused with place and fix", (lines, problem) => {
    expect(problemsOf(yaml(lines))).toContainEqual(expect.stringContaining(problem));
  });

  test("of an unknown kind is refused with the kinds that there are", () => {
    const text = yaml("").replace("type: http_request", "type: http_requests");
    expect(problemsOf(text)).toEqual([
      expect.stringMatching(/^destinations\.crm\.type \| .*http_requests.*Did you mean "http_request"/),
    ]);
  });

  test("with a query in its URL, or two ways to authorize, is refused", () => {
    expect(problemsOf(yaml("").replace("/v2", "/v2?a=b"))[0]).toContain("Must not hold a query");
    const both =
      "headers: { authorization: x }\noauth: { token_url: https://id.example.com/t, client_id: a, client_secret: b }";
    expect(problemsOf(yaml(both))).toContainEqual(
      expect.stringContaining("The header is written by `oauth`"),
    );
  });

  test("warns of secrets that stand in the file", () => {
    const text = yaml(
      "url_parameters: { key: plain, other: '${API_KEY}' }\noauth: { token_url: https://id.example.com/t, client_id: a, client_secret: plain }",
    );
    const { warnings } = parseEgretFile(text, "egret.yaml", {
      env,
      allowHttp: true,
      outboundAllow: ["127.0.0.0/8"],
    });
    expect(warnings.map(({ field }) => field)).toEqual([
      "destinations.crm.url_parameters.key",
      "destinations.crm.oauth.client_secret",
    ]);
  });
});

describe("an http_request destination that is applied", async () => {
  const { url } = await testDatabase({ migrated: true });
  const database = openDatabase(url);
  afterAll(() => database.close());
  const box = openSecretBox([randomBytes(32).toString("base64")]);
  const plan = (text: string) => {
    const file = parseEgretFile(text, "egret.yaml", { env, allowHttp: true, outboundAllow: ["127.0.0.0/8"] });
    return planChanges({ db: database.db, box, file, describe: describeObject });
  };
  const lines = `path: /contacts/{{ record['unique_id'] }}
method: PATCH
payload: { json: '{"name": "{{ record.name }}"}' }
batch_size: 10
headers: { X-Team: ops }
url_parameters: { key: "\${API_KEY}" }
oauth: { token_url: https://id.example.com/t, client_id: egret, client_secret: "\${CLIENT_SECRET}", scopes: [rows] }
row_results: { results_path: result.rows }`;

  test("comes back as it was declared, its secrets sealed and apart, and changes nothing a second time", async () => {
    await applyChanges({ db: database.db, box, plan: await plan(yaml(lines)), actor: "test" });
    const { rows } = await database.pool.query<{ id: number; settings: object; secret: string }>(
      "select id, type, settings, secret from egret.destinations",
    );
    const stored = JSON.stringify(rows);
    for (const secret of Object.values(env)) expect(stored).not.toContain(secret);
    const { rows: events } = await database.pool.query("select data from egret.outbox");
    for (const secret of Object.values(env)) expect(JSON.stringify(events)).not.toContain(secret);
    expect(await readDestination(database.db, box, rows[0]?.id ?? 0)).toMatchObject({
      type: "http_request",
      settings: {
        url: "http://127.0.0.1:8080/v2",
        path: "/contacts/{{ record['unique_id'] }}",
        method: "PATCH",
        payload: { json: '{"name": "{{ record.name }}"}' },
        delete_method: "DELETE",
        delete_payload: "empty",
        oauth: { client_id: "egret", scopes: ["rows"], send_credentials: "header", header_prefix: "Bearer" },
        row_results: { results_path: "result.rows", identifier_field: "identifier" },
      },
      secrets: {
        headers: { "X-Team": "ops" },
        url_parameters: { key: env.API_KEY },
        oauth_client_secret: env.CLIENT_SECRET,
      },
    });
    const again = await plan(yaml(lines));
    expect(again.changes.filter(({ action }) => action !== "unchanged")).toEqual([]);
  });

  test.each([
    [
      "path: '/c/{{ record.mail }}'",
      "mappings: [name]",
      '`path` names the field "mail", which it does not get.',
    ],
    ["payload: { json: '{{ record.nam }}' }", "mappings: [name]", 'Did you mean "name"?'],
    ["payload: { field: doc }", "mappings: [name]", '`payload` names the field "doc"'],
    [
      "path: '/c/{{ record.name }}'",
      "mappings: [name], operation: mirror",
      '`path` names the field "name", which a deleted row does not have.',
    ],
  ])("with %s is refused for a sync that does not send it (%s)", async (more, sync, problem) => {
    const refused = await plan(yaml(more, sync)).catch((error: unknown) => error);
    if (!(refused instanceof InvalidInput)) throw new Error("it was not refused");
    expect(refused.problems.map(({ message }) => message).join()).toContain(problem);
    expect(refused.problems.map(({ field }) => field)).toContain("syncs.people.destination");
  });

  test("refuses a delete that would name no row", () => {
    const refused = problemsOf(yaml("", "operation: delete"));
    expect(refused).toContainEqual(expect.stringContaining("names no row: its path is the same for all"));
  });

  test.each(["update", "insert", "delete"])("performs %s, which a webhook does not", async (operation) => {
    await expect(
      plan(yaml("path: '/contacts/{{ record.unique_id }}'", `operation: ${operation}`)),
    ).resolves.toBeDefined();
  });
});
