/** `egret hook`: addresses under which other programs start a sync. */
import { Command } from "commander";
import type { Config } from "../config.ts";
import { createHook, type Hook, listHooks, revokeHook } from "../configuration/hooks.ts";
import { NotFound } from "../domain/errors.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { findSyncNamed, findWorkspace } from "./findConfigured.ts";
import { dayAndTime } from "./format.ts";
import { wholeNumber } from "./options.ts";
import { findServices, type ReachOptions, withDatabase, withReachOptions } from "./reach.ts";
import { paint, print, printJson, table } from "./terminal.ts";

interface HookOptions extends ReachOptions {
  workspace?: string;
  json?: boolean;
  dbtCloud?: boolean;
}

/** The command, with its subcommands. */
export function hookCommand(): Command {
  return new Command("hook")
    .description("addresses under which other programs start a sync")
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand())
    .addHelpText("after", "\nExample:\n  egret hook create airports");
}

function createCommand(): Command {
  const command = new Command("create")
    .description("make an address that starts a sync; it is shown once")
    .argument("<sync>", "name or id")
    .option("--dbt-cloud", "for a webhook of dbt Cloud: starts when a run of a job completed with success")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object")
    .addHelpText("after", `${POST_HELP}\n${EXIT_CODES_HELP}\n\nExample:\n  egret hook create airports`);
  return withReachOptions(command).action(async (wanted: string, options: HookOptions) => {
    const reach = await findServices(options);
    const kind = options.dbtCloud === true ? "dbt_cloud" : "generic";
    const made = await withDatabase(reach, async ({ db }) => {
      const workspace = await findWorkspace(db, options.workspace);
      const sync = await findSyncNamed(db, workspace, wanted);
      const actor = "egret hook create";
      const hook = await createHook(db, { workspaceId: workspace.id, syncId: sync.id, kind, actor });
      return { ...hook, sync: sync.name };
    });
    const path = `/hooks/${made.token}`;
    if (options.json === true) {
      printJson({ hook_id: made.id, sync: made.sync, kind, path });
      return;
    }
    print(`Hook ${made.id} starts sync ${made.sync}. Its address is shown this once:`);
    print(`  POST ${paint("bold", `${baseOf(reach.config)}${path}`)}`);
    print(`Whoever has it can start the sync; take it out of force with: egret hook revoke ${made.id}`);
  });
}

/** Where the role api is reached from outside, as far as the settings know it. */
function baseOf({ publicUrl, httpHost, httpPort }: Config): string {
  if (publicUrl !== null) return publicUrl.replace(/\/+$/, "");
  return httpPort === 0 ? "" : `http://${httpHost}:${httpPort}`;
}

const POST_HELP = `
Below the address of a process with the role api, EGRET_PUBLIC_URL where it is set:
  curl -X POST http://localhost:4747/hooks/<token>
An Idempotency-Key header makes repeating a request harmless. Calls beyond 10 at once and one every 2 s get 429 with
Retry-After.`;

const HEADINGS = ["hook", "sync", "kind", "created", "last used", "revoked"];

function listCommand(): Command {
  const command = new Command("list")
    .description("list hooks, without their tokens")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object a line")
    .addHelpText("after", "\nExample:\n  egret hook list");
  return withReachOptions(command).action(async (options: HookOptions) => {
    const reach = await findServices(options);
    const hooks = await withDatabase(reach, async ({ db }) =>
      listHooks(db, (await findWorkspace(db, options.workspace)).id),
    );
    if (options.json === true) for (const hook of hooks) printJson(toJson(hook));
    else if (hooks.length === 0) print("no hooks yet; make one with: egret hook create <sync>");
    else for (const line of table(HEADINGS, hooks.map(cells), new Set([0]))) print(line);
  });
}

function toJson(hook: Hook): object {
  return {
    hook_id: hook.id,
    sync_id: hook.syncId,
    sync: hook.syncName,
    kind: hook.kind,
    created_by: hook.createdBy,
    created_at: hook.createdAt,
    last_used_at: hook.lastUsedAt,
    revoked_at: hook.revokedAt,
  };
}

function cells(hook: Hook): string[] {
  const shown = (date: Date | null) => (date === null ? "-" : dayAndTime(date));
  return [
    String(hook.id),
    hook.syncName,
    hook.kind,
    dayAndTime(hook.createdAt),
    shown(hook.lastUsedAt),
    shown(hook.revokedAt),
  ];
}

function revokeCommand(): Command {
  const command = new Command("revoke")
    .description("take a hook out of force for good")
    .argument("<id>", "id of the hook, as `egret hook list` shows it", wholeNumber(1, 999_999_999_999))
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object")
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret hook revoke 3`);
  return withReachOptions(command).action(async (id: number, options: HookOptions) => {
    const reach = await findServices(options);
    await withDatabase(reach, async ({ db }) => {
      const workspace = await findWorkspace(db, options.workspace);
      if (await revokeHook(db, { workspaceId: workspace.id, id })) return;
      throw new NotFound(`workspace ${workspace.name} has no hook ${id} in force; see: egret hook list`);
    });
    if (options.json === true) printJson({ hook_id: id, revoked: true });
    else print(`Hook ${id} is revoked; its address answers like one that never was.`);
  });
}
