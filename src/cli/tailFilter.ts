/** What `egret tail` lets through: friendly words or a NATS wildcard, turned into subject filters and a test. */
import { suggestion } from "../configuration/nearest.ts";
import { InvalidInput } from "../domain/errors.ts";
import type { AnyEvent } from "../domain/event.ts";
import type { StreamName } from "../log/topology.ts";

/** Subjects below `egret.events` to follow in each stream, null where nothing of a stream is wanted. */
export interface TailFilter {
  subjects: Record<StreamName, string[] | null>;
  /** What subjects cannot tell: a delivery's subject names neither its sync nor its run. */
  matches(event: AnyEvent): boolean;
}

interface Wanted {
  kinds: Set<string>;
  words: Set<string>;
  target: string | null;
  sync: string | null;
  run: string | null;
}

const RUN_KINDS = ["run", "trial", "alert", "config", "command", "endpoint", "replay"] as const;
const KIND_WORDS: Readonly<Record<string, string>> = {
  run: "run",
  runs: "run",
  trial: "trial",
  trials: "trial",
  alert: "alert",
  alerts: "alert",
  config: "config",
  command: "command",
  commands: "command",
  endpoint: "endpoint",
  endpoints: "endpoint",
  replay: "replay",
  replays: "replay",
  delivery: "delivery",
  deliveries: "delivery",
};
const TARGET_WORDS: Readonly<Record<string, string>> = {
  webhook: "webhook",
  webhooks: "webhook",
  destination: "destination",
  destinations: "destination",
};
/** Ends of subjects by the word that asks for them; `failed` is everything that went wrong for good. */
const EVENT_WORDS: Readonly<Record<string, readonly string[]>> = {
  failed: ["failed", "dead", "refused"],
  failures: ["failed", "dead", "refused"],
  ...Object.fromEntries(
    [
      "triggered",
      "started",
      "completed",
      "success",
      "retrying",
      "delivered",
      "dead",
      "pending",
      "refused",
      "healthy",
      "failing",
      "open",
      "probing",
      "disabled",
      "raised",
      "resolved",
    ].map((word) => [word, [word]]),
  ),
};
const SYNTAX = 'words such as failed, webhook, sync:airports, run:7011, or subjects such as "*.run.88.>"';

/** Which sync a filter names, so that the caller can look it up; null for none. */
export function syncInFilter(words: readonly string[]): string | null {
  return words.find((word) => word.startsWith("sync:"))?.slice("sync:".length) ?? null;
}

/**
 * The filter that words ask for: several narrow one another down. `syncId` is what `sync:<name>` stands for.
 * @throws InvalidInput naming the nearest word that is known.
 */
export function tailFilter(words: readonly string[], syncId: number | null): TailFilter {
  const [first, second] = words;
  if (first !== undefined && /[.*>]/.test(first)) {
    if (second !== undefined) throw new InvalidInput("give one subject, or several words, not both");
    return { subjects: subjectsOf(first), matches: () => true };
  }
  const wanted: Wanted = { kinds: new Set(), words: new Set(), target: null, sync: null, run: null };
  for (const word of words) addWord(wanted, word, syncId);
  const streams = wordSubjects(wanted);
  return {
    subjects: streams,
    matches: ({ data }) =>
      (wanted.sync === null || ("sync_id" in data && String(data.sync_id) === wanted.sync)) &&
      (wanted.run === null || ("sync_run_id" in data && String(data.sync_run_id) === wanted.run)),
  };
}

function addWord(wanted: Wanted, word: string, syncId: number | null): void {
  const [name = "", value] = word.split(":", 2);
  if (name === "sync" && value !== undefined && syncId !== null) wanted.sync = String(syncId);
  else if (name === "run" && value !== undefined) {
    if (!/^\d{1,15}$/.test(value)) throw new InvalidInput(`${word}: a run id is a whole number`);
    wanted.run = value;
  } else if (KIND_WORDS[word] !== undefined) wanted.kinds.add(KIND_WORDS[word]);
  else if (TARGET_WORDS[word] !== undefined) {
    wanted.target = TARGET_WORDS[word];
    wanted.kinds.add("delivery");
  } else if (EVENT_WORDS[word] !== undefined) for (const end of EVENT_WORDS[word]) wanted.words.add(end);
  else {
    const known = [...Object.keys(KIND_WORDS), ...Object.keys(TARGET_WORDS), ...Object.keys(EVENT_WORDS)];
    throw new InvalidInput(`"${word}" is no filter.${suggestion(word, known)} Filters are ${SYNTAX}.`);
  }
}

const ENDS: Readonly<Record<string, ReadonlySet<string>>> = {
  run: new Set(["triggered", "started", "completed", "success", "failed"]),
  alert: new Set(["raised", "resolved"]),
  config: new Set(),
  trial: new Set(["requested", "started", "completed", "failed"]),
  command: new Set(["refused"]),
  endpoint: new Set(["healthy", "failing", "open", "probing", "disabled"]),
  replay: new Set(["requested", "completed", "failed", "cancelled"]),
  delivery: new Set(["pending", "retrying", "delivered", "dead"]),
};

function wordSubjects({ kinds, words, target, sync, run }: Wanted): TailFilter["subjects"] {
  const isWanted = (kind: string) =>
    (kinds.size === 0 || kinds.has(kind)) &&
    ((sync === null && run === null) || ["run", "trial", "alert", "delivery"].includes(kind));
  // A word that no event of a kind ends with leaves nothing of that kind.
  const ends = (kind: string): string[] =>
    words.size === 0 ? ["*"] : [...words].filter((word) => ENDS[kind]?.has(word) === true);
  const runs = RUN_KINDS.filter(isWanted).flatMap((kind) =>
    ends(kind).map((end) => {
      if (kind === "run" || kind === "trial") return `*.${kind}.${sync ?? "*"}.${run ?? "*"}.${end}`;
      if (kind === "alert") return `*.alert.${sync ?? "*"}.*.${end}`;
      return kind === "command" || kind === "replay" ? `*.${kind}.*.${end}` : `*.${kind}.*.*.${end}`;
    }),
  );
  const deliveries = isWanted("delivery")
    ? ends("delivery").map((end) => `*.delivery.${target ?? "*"}.*.*.${end}`)
    : [];
  return { runs: runs.length === 0 ? null : runs, deliveries: deliveries.length === 0 ? null : deliveries };
}

/** A subject with wildcards, divided between the streams by its second token. */
function subjectsOf(pattern: string): TailFilter["subjects"] {
  const subject = pattern.replace(/^egret\.events\./, "");
  if (!/^[^\s.]+(\.[^\s.]+)*$/.test(subject) || /[^.]>|>./.test(subject)) {
    throw new InvalidInput(`"${pattern}" is no subject; filters are ${SYNTAX}`);
  }
  const [workspace = "*", kind, ...rest] = subject.split(".");
  if (workspace === ">" || kind === undefined || kind === ">") {
    const scope = workspace === ">" ? "*" : workspace;
    return { runs: RUN_KINDS.map((each) => `${scope}.${each}.>`), deliveries: [`${scope}.delivery.>`] };
  }
  const of = (each: string) => [workspace, each, ...(rest.length === 0 ? [">"] : rest)].join(".");
  if (kind === "*") return { runs: RUN_KINDS.map(of), deliveries: [of("delivery")] };
  if (kind === "delivery") return { runs: null, deliveries: [of(kind)] };
  if ((RUN_KINDS as readonly string[]).includes(kind)) return { runs: [of(kind)], deliveries: null };
  throw new InvalidInput(`"${kind}" in "${pattern}" is no kind: known are ${RUN_KINDS.join(", ")}, delivery`);
}
