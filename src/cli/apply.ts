/** `egret apply`: makes an egret.yaml true, after showing what that would change. */
import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { environment } from "../config.ts";
import { hasChanges } from "../configuration/plan.ts";
import { type OutboundSettings, readOutbound } from "../security/outboundPools.ts";
import {
  applyPlan,
  type Desk,
  type PlannedFile,
  planFile,
  readIds,
  testChangedDestinations,
} from "./applyFile.ts";
import { EXIT, EXIT_CODES_HELP } from "./exitCodes.ts";
import { idLines, planLines, resendLines, secretLines, staysDisabledLines, testLines } from "./planOutput.ts";
import { findServices, type ReachOptions, secretBoxOf, withDatabase, withReachOptions } from "./reach.ts";
import { complain, paint, print, printJson } from "./terminal.ts";

interface ApplyOptions extends ReachOptions {
  file: string;
  yes?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

/** The command. */
export function applyCommand(): Command {
  const command = new Command("apply")
    .description("make the configuration what egret.yaml says")
    .option("-f, --file <path>", "the file", "egret.yaml")
    .option("-y, --yes", "apply without asking")
    .option("--dry-run", "show the plan and change nothing")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `${EXIT_CODES_HELP}\n\nExamples:\n  egret apply --dry-run\n  egret apply -f egret.yaml --yes`,
    );
  return withReachOptions(command).action(apply);
}

async function apply(options: ApplyOptions): Promise<void> {
  const reach = await findServices(options);
  const desk = { box: secretBoxOf(reach) };
  // Asked for last, to test connections: what is wrong with it is better said before anything is applied.
  readOutbound(reach.outbound);
  await withDatabase(reach, async ({ db }) => {
    const reading = { env: environment(), ...reach.outbound };
    const planned = await planFile({ ...desk, db }, options.file, reading);
    for (const { message } of planned.file.warnings) complain(`${paint("yellow", "warning")} ${message}`);
    const isJson = options.json === true;
    if (!isJson) {
      for (const line of planLines(planned.plan.changes)) print(line);
      for (const line of staysDisabledLines(planned.plan.staysDisabled)) print(line);
      for (const line of resendLines(planned.resends)) print(line);
    }
    if (!(await isWanted(planned, options))) {
      if (isJson) printJson({ applied: false, ...changesOf(planned) });
      return;
    }
    await carryOut({ ...desk, db }, planned, { isJson, outbound: reach.outbound });
  });
}

/** Whether the plan is to be applied; says why not. */
async function isWanted({ plan }: PlannedFile, { yes, dryRun }: ApplyOptions): Promise<boolean> {
  if (dryRun === true) return false;
  if (yes === true || !hasChanges(plan)) return true;
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    complain("Nothing was applied: this is no terminal to ask on. To apply the plan, add --yes.");
    process.exitCode = EXIT.badInput;
    return false;
  }
  const asking = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await asking.question("Apply? [y/N] ").finally(() => asking.close());
  if (/^y(es)?$/i.test(answer.trim())) return true;
  complain("Nothing was applied.");
  return false;
}

async function carryOut(
  desk: Desk,
  planned: PlannedFile,
  { isJson, outbound }: { isJson: boolean; outbound: OutboundSettings },
): Promise<void> {
  const { plan } = planned;
  const isChanged = hasChanges(plan);
  const secrets = isChanged ? (await applyPlan(desk, plan)).webhookSecrets : [];
  // Written before anything that can still fail: these secrets cannot be had again.
  if (!isJson) {
    if (isChanged) print(paint("green", "Applied."));
    for (const line of secretLines(secrets)) print(line);
  }
  const ids = await readIds(desk.db, plan.workspace);
  const tested = await testChangedDestinations(desk, plan, outbound).catch((error: unknown) => {
    if (!isJson) throw error;
    return [];
  });
  if (isJson) {
    printJson({
      applied: isChanged,
      ...changesOf(planned),
      webhook_secrets: secrets,
      ids,
      tests: tested,
    });
    return;
  }
  for (const line of ids === null ? [] : idLines(ids)) print(line);
  for (const line of testLines(tested)) print(line);
}

function changesOf({ plan, resends }: PlannedFile): object {
  const changes = plan.changes.filter(({ action }) => action !== "unchanged");
  return { changes, stays_disabled: plan.staysDisabled, resends };
}
