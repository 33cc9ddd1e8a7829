/** `egret webhook pause|resume` and `egret destination pause|resume`: hold a target's deliveries back without losing any. */
import { Command } from "commander";
import { type DeskOptions, withDeskOptions } from "./deskOptions.ts";
import { EXIT_CODES_HELP } from "./exitCodes.ts";
import { print, printJson } from "./terminal.ts";
import { withDesk } from "./withDesk.ts";

interface PauseOptions extends DeskOptions {
  workspace?: string;
  json?: boolean;
}

type TargetKind = "webhook" | "destination";

/** The command that pauses targets of a kind. */
export function pauseCommand(kind: TargetKind): Command {
  return switchCommand(kind, { verb: "pause", paused: true })
    .description(`send a ${kind} nothing until it is resumed; what comes meanwhile waits`)
    .addHelpText(
      "after",
      `\nRequests under way end; what waits spends no attempt. Applying an unchanged egret.yaml does not resume it.\n` +
        `${EXIT_CODES_HELP}\n\nExample:\n  egret ${kind} pause ${EXAMPLES[kind]}`,
    );
}

/** The command that resumes them. */
export function resumeCommand(kind: TargetKind): Command {
  return switchCommand(kind, { verb: "resume", paused: false })
    .description(`send a paused ${kind} what waits for it, and all that comes`)
    .addHelpText("after", `${EXIT_CODES_HELP}\n\nExample:\n  egret ${kind} resume ${EXAMPLES[kind]}`);
}

const EXAMPLES = { webhook: "pager", destination: "ops" } as const;

function switchCommand(
  kind: TargetKind,
  { verb, paused }: { verb: "pause" | "resume"; paused: boolean },
): Command {
  const command = new Command(verb)
    .argument(`<${kind}>`, "name or id")
    .option("--workspace <name>", "name or id; needed when there are several")
    .option("--json", "print one JSON object");
  return withDeskOptions(command).action(async (wanted: string, options: PauseOptions) => {
    const { workspace } = options;
    const area = kind === "webhook" ? "webhooks" : "destinations";
    const { name, isChanged } = await withDesk(area, options, (desk) =>
      desk.setPaused({ name: wanted, workspace }, paused),
    );
    if (options.json === true) printJson({ [kind]: name, paused, changed: isChanged });
    else print(sentence({ kind, name, paused, isChanged }));
  });
}

function sentence(done: { kind: TargetKind; name: string; paused: boolean; isChanged: boolean }): string {
  const { kind, name, paused, isChanged } = done;
  const subject = `${kind === "webhook" ? "Webhook" : "Destination"} ${name}`;
  if (!isChanged) return `${subject} is ${paused ? "paused" : "not paused"} already.`;
  if (!paused) return `${subject} is resumed; what waited for it goes out now.`;
  return `${subject} is paused; what comes waits until: egret ${kind} resume ${name}`;
}
