/** The queries by which new rows are found by a timestamp column instead of by key (behaviour.md 9.4). */
import pg from "pg";
import { RunFailure } from "../domain/errors.ts";
import { baseType } from "./postgresTypes.ts";
import type { RunFacts, SourceWindows, Window } from "./source.ts";

const TYPES = new Set(["date", "timestamp without time zone", "timestamp with time zone"]);

/** The expressions that a query of rows is made of. */
export interface RowSql {
  from: string;
  key: string;
  hash: string;
  /** Condition that the key is one of these. */
  keyIn(keys: readonly string[]): string;
  /** Query of (key, hash, record) of the rows for which a condition holds. */
  records(where: string, run: RunFacts): string;
}

/**
 * The queries for a column of the model.
 * @throws RunFailure CONFIG_INVALID when it holds no timestamps.
 */
export function windowsOf(column: string, type: string, row: RowSql): SourceWindows {
  if (!TYPES.has(baseType(type))) {
    throw new RunFailure(
      "CONFIG_INVALID",
      `Column ${column} of type ${type} cannot be the high_water_mark_attribute`,
      "Use a column of type date or timestamp, or leave high_water_mark_attribute out",
    );
  }
  const at = `m.${pg.escapeIdentifier(column)}`;
  const instant = (text: string) => `${pg.escapeLiteral(text)}::${type}`;
  const isRetried = ({ retry }: Window) => (retry.length === 0 ? "false" : row.keyIn(retry));
  const isInside = ({ from, to }: Window) =>
    from === null ? `${at} < ${instant(to)}` : `(${at} >= ${instant(from)} AND ${at} < ${instant(to)})`;
  return {
    boundsSql: (mark) => {
      const largest = `max(${at}) FILTER (WHERE isfinite(${at}))`;
      const next = mark === null ? largest : `greatest(${largest}, ${instant(mark)})`;
      return `SELECT count(*)::text AS rows, coalesce(${next}, ${instant("-infinity")})::text AS mark FROM ${row.from}`;
    },
    keysSql: (window) => {
      const isNew = window.from === null ? `${at} IS NOT NULL` : `${at} >= ${instant(window.from)}`;
      return `SELECT ${row.key} AS key, ${row.hash} AS hash,
          (CASE WHEN ${at} >= ${instant(window.to)} THEN 1 WHEN ${isInside(window)} THEN 0 ELSE 2 END)::smallint AS place
        FROM ${row.from} WHERE ${isNew} OR ${isRetried(window)}`;
    },
    recordsSql: (window, run) =>
      row.records(
        `${isInside(window)} OR (${isRetried(window)} AND (${at} >= ${instant(window.to)}) IS NOT TRUE)`,
        run,
      ),
  };
}
