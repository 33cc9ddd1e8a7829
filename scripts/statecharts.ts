/** Draws the statecharts of `machines/` as Mermaid. */
import type { AnyStateMachine, AnyStateNode } from "xstate";
import { alertMachine } from "../machines/alert.ts";
import { deliveryMachine } from "../machines/delivery.ts";
import { endpointMachine } from "../machines/endpoint.ts";
import { replayMachine } from "../machines/replay.ts";
import { syncRunMachine } from "../machines/syncRun.ts";
import { trialRunMachine } from "../machines/trialRun.ts";
import { WEBHOOK_RETRY_DELAYS_MS } from "../src/domain/retryPolicy.ts";

const CHARTS: { title: string; text: string; machine: AnyStateMachine }[] = [
  {
    title: "Run",
    text: "One execution of a sync. Each arrow is one event in the log; `effect` is what the runtime performs on entry.",
    machine: syncRunMachine,
  },
  {
    title: "Dry or test run",
    text: "A look at what a run would do, or one record sent: beside the runs of the sync, and of no lifecycle event.",
    machine: trialRunMachine,
  },
  {
    title: "Delivery",
    text: `One payload for one target. For lifecycle webhooks \`retryDelay\` is ${WEBHOOK_RETRY_DELAYS_MS.map((ms) => ms / 1000).join(", ")} s before retries 1 to 5.`,
    machine: deliveryMachine,
  },
  {
    title: "Endpoint",
    text: "The health of one target. Its circuit holds back first attempts only: a delivery that has begun keeps its schedule.",
    machine: endpointMachine,
  },
  {
    title: "Alert",
    text: "What one alert configuration watches in the runs of its sync. `limit.violated` again is for those that tell of every violation.",
    machine: alertMachine,
  },
  {
    title: "Replay",
    text: "A job that delivers many deliveries again, or events that a webhook missed.",
    machine: replayMachine,
  },
];

const idOf = (node: AnyStateNode): string => node.path.join("_");
const named = (actions: readonly unknown[]): string[] =>
  actions.filter((action) => typeof action === "string");

interface Arrow {
  from: AnyStateNode;
  to: AnyStateNode;
  label: string;
}

function arrowsFrom(node: AnyStateNode): Arrow[] {
  return [...node.transitions.values()].flat().flatMap((transition) => {
    const event = transition.eventType.replace(/^xstate\.after\.(\w+).*$/, "after $1");
    const guard = typeof transition.guard === "string" ? ` [${transition.guard}]` : "";
    const effects = named(transition.actions).filter((action) => action === "attempt");
    const label = [event + guard, ...effects].join(" / ");
    return (transition.target ?? [node]).map((to) => ({ from: node, to, label }));
  });
}

/** Mermaid draws no arrow out of a box: such an arrow leaves the box itself and says where it comes from. */
function lifted({ from, to, label }: Arrow): { parent: AnyStateNode | undefined; line: string } {
  if (from.parent === to.parent)
    return { parent: from.parent, line: `${idOf(from)} --> ${idOf(to)}: ${label}` };
  const box = from.parent as AnyStateNode;
  return { parent: box.parent, line: `${idOf(box)} --> ${idOf(to)}: ${label} (from ${from.key})` };
}

function descendants(node: AnyStateNode): AnyStateNode[] {
  const children = Object.values(node.states);
  return children.concat(children.flatMap(descendants));
}

function body(node: AnyStateNode, indent: string): string[] {
  const lines: string[] = [];
  const initial = node.initial.target[0];
  if (initial !== undefined) lines.push(`${indent}[*] --> ${idOf(initial)}`);
  for (const child of Object.values(node.states)) {
    const effect = named(child.entry).join(", ");
    const note = effect === "" ? "" : `<br/><i>effect: ${effect}</i>`;
    if (child.type === "compound") {
      lines.push(
        `${indent}state "${child.key}" as ${idOf(child)} {`,
        ...body(child, `${indent}  `),
        `${indent}}`,
      );
    } else {
      lines.push(`${indent}state "${child.key}${note}" as ${idOf(child)}`);
    }
    if (child.type === "final") lines.push(`${indent}${idOf(child)} --> [*]`);
  }
  const own = descendants(node).flatMap(arrowsFrom).map(lifted);
  lines.push(...own.filter(({ parent }) => parent === node).map(({ line }) => indent + line));
  return lines;
}

/** Each statechart under a heading of the given depth. */
export function drawCharts(heading: string): string {
  const charts = CHARTS.map(({ title, text, machine }) =>
    [
      `${heading} ${title}`,
      "",
      text,
      "",
      "```mermaid",
      "stateDiagram-v2",
      ...body(machine.root, "  "),
      "```",
      "",
    ].join("\n"),
  );
  return charts.join("\n");
}
