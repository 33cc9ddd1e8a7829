/** Names of operations in the document, derived from method and path: clients call them by these, so they stay as they are. */

/** Paths that the rules below would give a wrong name, or that of another one. */
const NAMED: Readonly<Record<string, string>> = {
  "get /workspace": "getOwnWorkspace",
  "get /audit_log": "listAuditLog",
  "get /sync_runs": "listAllSyncRuns",
  "post /syncs/{id}/dry_run": "dryRunSync",
  "post /sources/{id}/connect_links": "createSourceCredentialsLink",
  "post /destinations/{id}/connect_links": "createDestinationCredentialsLink",
  "post /syncs/{id}/connect_links": "createSyncEditLink",
};

/**
 * `GET /syncs` is listSyncs, `GET /syncs/{id}` getSync, `POST /syncs` createSync, `POST /syncs/{id}/trigger` triggerSync,
 * `GET /sync_runs/{id}/records_count` getSyncRunRecordsCount.
 */
export function operationIdOf(method: string, path: string): string {
  const named = NAMED[`${method} ${path}`];
  if (named !== undefined) return named;
  const parts = path.split("/").filter((part) => part !== "");
  const isOne = parts.at(-1)?.startsWith("{") ?? false;
  const nouns = parts.flatMap((part, index) => {
    if (part.startsWith("{")) return [];
    const isOfOne = parts[index + 1]?.startsWith("{") ?? false;
    return [isOfOne ? singular(part) : part];
  });
  const last = nouns.at(-1) ?? "";
  const owner = nouns.slice(0, -1);
  if (method === "get") {
    const verb = isOne || !isPlural(last) ? "get" : "list";
    return verb + joined(nouns);
  }
  if (method !== "post") return (VERBS[method] ?? method) + joined(nouns);
  const isMade = owner.length === 0 || (isPlural(last) && !startsWithVerb(last));
  if (isMade) return `create${joined([...owner, singular(last)])}`;
  const [verb = "", ...rest] = last.split("_");
  return verb + joined([...owner, rest.join("_")]);
}

const VERBS: Readonly<Record<string, string>> = { patch: "update", put: "replace", delete: "delete" };

const startsWithVerb = (word: string): boolean => word.startsWith("refresh_");

function isPlural(word: string): boolean {
  return word.endsWith("s") && !word.endsWith("status");
}

function singular(word: string): string {
  if (!isPlural(word)) return word;
  return word.endsWith("ies") ? `${word.slice(0, -3)}y` : word.slice(0, -1);
}

/** `sync` and `sync_runs` become SyncRuns: what a word says already is not said before it. */
function joined(words: readonly string[]): string {
  const said = words.filter((word, index) => !(words[index + 1]?.startsWith(`${word}_`) ?? false));
  return said
    .flatMap((word) => word.split("_"))
    .filter((word) => word !== "")
    .map((word) => word[0]?.toUpperCase() + word.slice(1))
    .join("");
}
