import { readFile } from "node:fs/promises";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { testEgret } from "../support/egret.ts";

const docs = path.resolve(import.meta.dirname, "../../docs");
const egret = await testEgret();

/** A metric as the exposition shows it. */
interface Shown {
  type: string;
  labels: string[];
}
let shown: Map<string, Shown>;

beforeAll(async () => {
  shown = parseExposition(await (await fetch(`${egret.url}/metrics`)).text());
});

function parseExposition(text: string): Map<string, Shown> {
  const metrics = new Map<string, Shown>();
  let current: Shown = { type: "", labels: [] };
  for (const line of text.split("\n")) {
    const [, name, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
    if (name !== undefined && type !== undefined) metrics.set(name, (current = { type, labels: [] }));
    if (line.startsWith("#")) continue;
    for (const [, label] of line.matchAll(/(\w+)="/g))
      if (label !== undefined && label !== "le" && !current.labels.includes(label))
        current.labels.push(label);
  }
  return metrics;
}

const ours = () => [...shown].filter(([name]) => name.startsWith("egret_"));

/** Every metric and label that an expression names must exist; what Prometheus itself adds may be used too. */
function problemsOf(expression: string): string[] {
  const problems: string[] = [];
  const names = [...expression.matchAll(/\b(?:egret|process|nodejs)_\w+/g)].map(([name]) => name);
  const metrics = names.map((name) => {
    const family = shown.get(name) ?? shown.get(name.replace(/_(bucket|sum|count)$/, ""));
    const isPart = !shown.has(name);
    if (family === undefined || isPart !== (family.type === "histogram")) problems.push(`no metric ${name}`);
    return family;
  });
  if (names.length === 0) problems.push("no metric at all");
  const known = new Set(["le", "job", "instance", ...metrics.flatMap((metric) => metric?.labels ?? [])]);
  const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = ""]) =>
    list.split(/,\s*/),
  );
  const matched = [...expression.matchAll(/(\w+)=~?"/g)].map(([, label = ""]) => label);
  for (const label of [...grouped, ...matched]) if (!known.has(label)) problems.push(`no label ${label}`);
  return problems;
}

describe("docs/metrics.md", () => {
  interface Row {
    name: string;
    type: string;
    labels: string[];
    meaning: string;
    alert: string;
  }
  let rows: Row[];

  beforeAll(async () => {
    const text = await readFile(path.join(docs, "metrics.md"), "utf8");
    rows = [...text.matchAll(/^\| `(egret_\w+)` \| (\w+): ([^|]*) \| ([^|]*) \| ([^|]*) \|$/gm)].map(
      ([, name = "", type = "", labels = "", meaning = "", alert = ""]) => ({
        name,
        type,
        meaning,
        alert,
        labels: labels.trim() === "" ? [] : labels.trim().split(/,\s*/),
      }),
    );
  });

  test("has every metric of ours and no other, each with its type and labels", () => {
    const told = rows.map(({ name, type, labels }) => [name, { type, labels: labels.sort() }]);
    const real = ours().map(([name, { type, labels }]) => [name, { type, labels: labels.sort() }]);
    expect(Object.fromEntries(told)).toEqual(Object.fromEntries(real));
    expect(rows).toHaveLength(real.length);
  });

  test("says of each what it means, and an alert that can be evaluated", () => {
    for (const { name, meaning, alert } of rows) {
      expect([name, meaning.length > 15]).toEqual([name, true]);
      const [, expression = ""] = /^`([^`]+)`/.exec(alert) ?? [];
      expect([name, problemsOf(expression)]).toEqual([name, []]);
      expect(expression).toContain(name);
      expect(expression).toMatch(/ [<>] [\d.]+$/);
    }
  });
});

describe("the Grafana dashboard", () => {
  interface Panel {
    id: number;
    type: string;
    title: string;
    gridPos: { x: number; y: number; w: number; h: number };
    datasource?: { uid: string };
    targets?: { expr: string; refId: string; datasource: { uid: string } }[];
  }
  interface Dashboard {
    schemaVersion: number;
    templating: { list: { name: string; type: string; definition?: string }[] };
    panels: Panel[];
  }
  let dashboard: Dashboard;

  beforeAll(async () => {
    dashboard = JSON.parse(await readFile(path.join(docs, "grafana/egret.json"), "utf8")) as Dashboard;
  });

  test("asks only for metrics and labels that there are, and shows every metric of ours", () => {
    const asked = dashboard.panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({ title, expr })),
    );
    for (const { title, expr } of asked) expect([title, problemsOf(expr)]).toEqual([title, []]);
    for (const { definition } of dashboard.templating.list)
      if (definition !== undefined) expect([definition, problemsOf(definition)]).toEqual([definition, []]);
    const text = asked.map(({ expr }) => expr).join("\n");
    expect(ours().filter(([name]) => !text.includes(name))).toEqual([]);
  });

  test("takes its data source from a variable", () => {
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(41);
    expect(dashboard.templating.list.map(({ name, type }) => [name, type])).toContainEqual([
      "datasource",
      "datasource",
    ]);
    const sources = dashboard.panels.flatMap(({ type, datasource, targets = [] }) =>
      type === "row" ? [] : [datasource, ...targets.map((target) => target.datasource)],
    );
    expect(new Set(sources.map((source) => source?.uid))).toEqual(new Set(["${datasource}"]));
  });

  test("has a row for each subject, unique ids, and panels that do not overlap", () => {
    const { panels } = dashboard;
    expect(panels.filter(({ type }) => type === "row").map(({ title }) => title)).toEqual([
      "Deliveries",
      "Schedule",
      "Latency",
      "Backlog and circuits",
      "Log and projections",
      "Process",
    ]);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { targets = [] } of panels)
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });
});
