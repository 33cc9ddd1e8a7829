/** `egret token`: who may use the management API. */
import { Command, InvalidArgumentError } from "commander";
import type { Kysely } from "kysely";
import { type ApiToken, createApiToken, listApiTokens, revokeApiToken } from "../configuration/apiTokens.ts";
import { InvalidInput, NotFound } from "../domain/errors.ts";
import type { Database } from "../projections/database.ts";
import { SCOPES, type Scope } from "../security/apiToken.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findWorkspace, type Named } from "./findConfigured.ts";
import { dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson, table } from "./terminal.ts";

interface TokenOptions extends ReachOptions {
  workspace?: string;
  personal?: boolean;
  json?: boolean;
}

interface CreateOptions extends TokenOptions {
  name: string;
  scopes: Scope[];
  expires?: Date;
}

/** The command, with its subcommands. */
export function tokenCommand(): Command {
  return new Command("token")
    .description("tokens of the management API: who may use it, with which rights")
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand())
    .addHelpText("after", "\nExample:\n  egret token create --name airflow --scopes operate");
}

function withTokenOptions(command: Command): Command {
  return withReachOptions(
    command
      .option("--workspace <name>", "name or id; needed when there are several")
      .option("--personal", "a personal token: for /workspaces, and for nothing in one"),
  );
}

function createCommand(): Command {
  const command = new Command("create")
    .description("make a token; it is shown once")
    .option("--name <name>", "what it is for, as the audit will call its holder", "cli")
    .option("--scopes <scopes>", `up to which right: ${SCOPES.join(", ")}`, parseScopes, ["admin"] as Scope[])
    .option("--expires <when>", "an instant such as 2027-01-31T00:00:00Z, or days such as 90d", parseExpiry)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `${USE_HELP}\n${EXIT_CODES_HELP}\n\nExample:\n  egret token create --name airflow --scopes operate`,
    );
  return withTokenOptions(command).action(async (options: CreateOptions) => {
    const reach = await findServices(options);
    const made = await withDatabase(reach, async ({ db }) => {
      const workspace = await meant(db, options);
      const token = await createApiToken(db, {
        workspaceId: workspace?.id ?? null,
        name: options.name,
        scopes: options.scopes,
        expiresAt: options.expires ?? null,
        actor: "egret token create",
      });
      return { ...token, workspace };
    });
    if (options.json === true) {
      printJson({ token_id: made.id, workspace: made.workspace?.name ?? null, token: made.token });
      return;
    }
    const whose =
      made.workspace === null ? "personal, for /workspaces" : `for workspace ${made.workspace.name}`;
    print(`Token ${made.id} (${whose}), shown this once:`);
    print(`  ${paint("bold", made.token)}`);
    const personal = made.workspace === null ? " --personal" : "";
    print(
      `Send it as "Authorization: Bearer <token>"; take it out of force with: egret token revoke ${made.id}${personal}`,
    );
  });
}

const USE_HELP = `
\`read\` sees, \`operate\` also starts and cancels, \`admin\` also configures. The API stands below the address of a process
with the role api, and describes itself there under /docs:
  curl -H "Authorization: Bearer secret-token:…" http://localhost:4747/api/v1/syncs`;

/** Null for a personal token. */
async function meant(db: Kysely<Database>, { personal, workspace }: TokenOptions): Promise<Named | null> {
  if (personal !== true) return findWorkspace(db, workspace);
  if (workspace === undefined) return null;
  throw new InvalidInput(
    "--personal and --workspace exclude each other: a personal token is of no workspace",
  );
}

function parseScopes(text: string): Scope[] {
  const names = text.split(",").map((name) => name.trim());
  const scopes = SCOPES.filter((scope) => names.includes(scope));
  if (scopes.length === new Set(names).size && scopes.length > 0) return scopes;
  throw new InvalidArgumentError(`Name some of ${SCOPES.join(", ")}, with commas between.`);
}

const DAY_MS = 86_400_000;

function parseExpiry(text: string): Date {
  const [, days] = /^(\d{1,5})d$/.exec(text) ?? [];
  const at = days === undefined ? new Date(text) : new Date(Date.now() + Number(days) * DAY_MS);
  if (!Number.isNaN(at.getTime()) && at.getTime() > Date.now() && at.getUTCFullYear() < 2200) return at;
  throw new InvalidArgumentError(
    "Give an instant to come, such as 2027-01-31T00:00:00Z, or days, such as 90d.",
  );
}

const HEADINGS = ["token", "name", "scopes", "created", "last used", "expires", "revoked"];

function listCommand(): Command {
  const command = new Command("list")
    .description("list tokens, without the tokens themselves")
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret token list");
  return withTokenOptions(command).action(async (options: TokenOptions) => {
    const reach = await findServices(options);
    const { rows } = await withDatabase(reach, async ({ db }) =>
      listApiTokens(db, (await meant(db, options))?.id ?? null),
    );
    if (options.json === true) for (const token of rows) printJson(toJson(token));
    else if (rows.length === 0) print("no tokens yet; make one with: egret token create");
    else for (const line of table(HEADINGS, rows.map(cells), new Set([0]))) print(line);
  });
}

function toJson(token: ApiToken): object {
  return {
    token_id: token.id,
    kind: token.kind,
    workspace_id: token.workspaceId,
    name: token.name,
    scopes: token.scopes,
    created_by: token.createdBy,
    created_at: token.createdAt,
    last_used_at: token.lastUsedAt,
    expires_at: token.expiresAt,
    revoked_at: token.revokedAt,
  };
}

function cells(token: ApiToken): string[] {
  const shown = (date: Date | null) => (date === null ? "-" : dayAndTime(date));
  return [
    String(token.id),
    token.name,
    token.scopes.at(-1) ?? "-",
    dayAndTime(token.createdAt),
    shown(token.lastUsedAt),
    shown(token.expiresAt),
    shown(token.revokedAt),
  ];
}

function revokeCommand(): Command {
  const command = new Command("revoke")
    .description("take a token out of force for good")
    .argument("<id>", "id of the token, as `egret token list` shows it", wholeNumber(1, 999_999_999_999))
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret token revoke 3`);
  return withTokenOptions(command).action(async (id: number, options: TokenOptions) => {
    const reach = await findServices(options);
    await withDatabase(reach, async ({ db }) => {
      const workspace = await meant(db, options);
      if (await revokeApiToken(db, { workspaceId: workspace?.id ?? null, id })) return;
      const where =
        workspace === null ? "there is no personal token" : `workspace ${workspace.name} has no token`;
      const list = workspace === null ? "egret token list --personal" : "egret token list";
      throw new NotFound(`${where} ${id} in force; see: ${list}`);
    });
    if (options.json === true) printJson({ token_id: id, revoked: true });
    else print(`Token ${id} is revoked; servers refuse it within a few seconds.`);
  });
}
