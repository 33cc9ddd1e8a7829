/** The management API of an Egret under test, over a real socket. */
import { createApiToken } from "../../src/configuration/apiTokens.ts";
import type { Scope } from "../../src/security/apiToken.ts";
import type { TestEgret } from "./egret.ts";

/** What came back. `body` is the JSON, or null where there was none. */
export interface ApiAnswer {
  status: number;
  // oxlint-disable-next-line no-explicit-any -- tests look into answers of many shapes
  body: any;
  headers: Headers;
}

type SentHeaders = Record<string, string>;

/** A caller with a workspace key. */
export interface TestApi {
  /** `path` begins behind /api/v1; a body that is no text is sent as JSON. */
  request(method: string, path: string, body?: unknown, headers?: SentHeaders): Promise<ApiAnswer>;
  get(path: string, headers?: SentHeaders): Promise<ApiAnswer>;
  post(path: string, body?: unknown, headers?: SentHeaders): Promise<ApiAnswer>;
  patch(path: string, body?: unknown, headers?: SentHeaders): Promise<ApiAnswer>;
  delete(path: string, headers?: SentHeaders): Promise<ApiAnswer>;
  token: string;
  personalToken: string;
  workspaceId: number;
}

/** Makes tokens for a workspace, and the workspace where there is none of that name. */
export async function testApi(
  egret: Pick<TestEgret, "services" | "url">,
  { scopes = ["admin"], workspaceName }: { scopes?: readonly Scope[]; workspaceName?: string } = {},
): Promise<TestApi> {
  const { db } = egret.services.database;
  const workspaceId = await workspaceOf(egret, workspaceName);
  const actor = "test";
  const { token } = await createApiToken(db, { workspaceId, name: "test key", scopes, actor });
  const personal = { workspaceId: null, name: "test person", scopes: ["admin"], actor } as const;
  const { token: personalToken } = await createApiToken(db, personal);
  const request: TestApi["request"] = (method, path, body, headers = {}) =>
    askApi(egret.url, token, { method, path, body, headers });
  return {
    request,
    get: (path, headers) => request("GET", path, undefined, headers),
    post: (path, body, headers) => request("POST", path, body, headers),
    patch: (path, body, headers) => request("PATCH", path, body, headers),
    delete: (path, headers) => request("DELETE", path, undefined, headers),
    token,
    personalToken,
    workspaceId,
  };
}

/** One request with any token, or none for null. */
export async function askApi(
  url: string,
  token: string | null,
  {
    method = "GET",
    path,
    body,
    headers = {},
  }: { method?: string; path: string; body?: unknown; headers?: SentHeaders | undefined },
): Promise<ApiAnswer> {
  const isJson = body !== undefined && typeof body !== "string";
  const answer = await fetch(`${url}/api/v1${path}`, {
    method,
    redirect: "manual",
    headers: {
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      ...(isJson ? { "Content-Type": "application/json" } : {}),
      ...headers,
    },
    ...(body === undefined ? {} : { body: isJson ? JSON.stringify(body) : body }),
  });
  const text = await answer.text();
  const isAnswerJson = answer.headers.get("Content-Type")?.startsWith("application/json") === true;
  return {
    status: answer.status,
    body: text === "" ? null : isAnswerJson ? JSON.parse(text) : text,
    headers: answer.headers,
  };
}

/** Without a name: the first workspace, made as `test` where there is none. */
async function workspaceOf(
  { services }: Pick<TestEgret, "services">,
  name: string | undefined,
): Promise<number> {
  const { db } = services.database;
  const wanted = db.selectFrom("egret.workspaces").select("id").orderBy("id").limit(1);
  const found = await (name === undefined ? wanted : wanted.where("name", "=", name)).executeTakeFirst();
  if (found !== undefined) return found.id;
  const made = await db
    .insertInto("egret.workspaces")
    .values({ name: name ?? "test" })
    .returning("id")
    .executeTakeFirstOrThrow();
  return made.id;
}
