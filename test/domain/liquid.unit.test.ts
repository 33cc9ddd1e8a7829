import { describe, expect, test, vi } from "vitest";
import { InvalidInput } from "../../src/domain/errors.ts";
import {
  parseTemplate,
  type Rendered,
  type TemplateOptions,
  templateScope,
} from "../../src/domain/liquid.ts";

const columns = ["email", "plan", "none", "data", "tags", "seen_at", "size", "n", "a b", "ключ"];
const record = {
  email: "Ann@Example.com",
  plan: 'it\'s "pro"\n',
  none: null,
  data: { city: "Oslo", nested: { deep: [1, 2] } },
  tags: ["b", "a"],
  seen_at: "2026-02-01 10:00:00.5",
  size: 3,
  n: "12.50",
  "a b": "spaced",
  ключ: "значение",
};

function parsed(text: string, options: Partial<TemplateOptions> = {}) {
  return parseTemplate(text, { columns, variable: "record", ...options });
}

function rendered(text: string, options: Partial<TemplateOptions> = {}): Rendered {
  return parsed(text, options).render(templateScope(record));
}

function faultOf(text: string, options: Partial<TemplateOptions> = {}): string {
  try {
    parsed(text, options);
  } catch (error) {
    if (error instanceof InvalidInput) return error.message;
    throw error;
  }
  return "";
}

describe("a template", () => {
  test.each([
    ["{{ record['email'] | downcase }}", "ann@example.com"],
    ["{{ record.email | split: '@' | last }}", "Example.com"],
    ["{{ record['none'] }}|{{ record['none'] | default: 'free' }}", "|free"],
    ["{% if record['none'] %}a{% elsif record['size'] > 2 %}b{% endif %}", "b"],
    ["{% for tag in record['tags'] %}{{ forloop.index }}{{ tag }};{% endfor %}", "1b;2a;"],
    ["{% assign city = record['data'].city %}{{ city | upcase }}", "OSLO"],
    ["{% capture both %}{{ record['size'] }}-{{ record['a b'] }}{% endcapture %}{{ both }}", "3-spaced"],
    ["{{ record['ключ'] }}", "значение"],
    [
      "{% if record['data'].missing %}a{% else %}b{% endif %}{{ record['data'].missing | default: 'c' }}",
      "bc",
    ],
    ["{{ record['data'] | json }}", '{"city":"Oslo","nested":{"deep":[1,2]}}'],
    ["{{ record['data'] | except: 'nested' | json }}", '{"city":"Oslo"}'],
    ["{{ record['data'] | only: record['tags'], 'city' | json }}", '{"city":"Oslo"}'],
    ["{{ record['data'] | keys | join: ',' }}", "city,nested"],
    ["{{ record['a b'] | sha256 }}", "4cf28831d09470e8185fbb6ace85c0ae1238bebb05972737d6422c7ff8783cce"],
    ["{{ record['a b'] | base64 }}", "c3BhY2Vk"],
    ["{{ record['seen_at'] | date: '%Y-%m-%dT%H:%M' }}", "2026-02-01T10:00"],
    ["{{ record['n'] | times: 2 }}", "25"],
    ["{% increment x %}{% increment x %}", "01"],
    ["{{ record['plan'] | json }}", JSON.stringify(record.plan)],
    ["plain", "plain"],
    ["", ""],
  ])("renders %s", (text, expected) => {
    expect(rendered(text)).toEqual({ ok: true, text: expected });
  });

  test("names the columns that it refers to, wherever they stand", () => {
    const text = `{% if record['size'] > 1 and record.n == nil %}{{ record['data'].city | append: record["email"] }}{% endif %}
      {% for i in (1..record['plan']) %}{{ record['data'][record['tags']] }}{% endfor %}{{ (record['none']..3).size }}`;
    expect(parsed(text)).toMatchObject({
      columns: ["data", "email", "n", "none", "plan", "size", "tags"],
      usesWhole: false,
    });
  });

  test("keeps nothing from one render to the next", () => {
    const template = parsed("{% increment x %}{% assign y = record['size'] %}");
    expect(template.render(templateScope(record))).toEqual({ ok: true, text: "0" });
    expect(template.render(templateScope(record))).toEqual({ ok: true, text: "0" });
  });
});

describe("a template is refused", () => {
  test.each([
    ["for a column that is not there", "{{ record['Email'] }}", "no column Email"],
    ["for a column that is not there, with a dot", "{{ record.length }}", "no column length"],
    ["for any other name", "{{ email }}", "nothing is called email"],
    ["for another name in an argument", "{{ record['n'] | plus: other }}", "nothing is called other"],
    ["for another name at the end of a range", "{{ (other..3).size }}", "nothing is called other"],
    ["for a name before its assignment", "{{ x }}{% assign x = 1 %}", "nothing is called x"],
    [
      "for a block's name after the block",
      "{% for x in record['tags'] %}{% endfor %}{{ x }}",
      "nothing is called x",
    ],
    ["for records", "{{ records[0]['email'] }}", "nothing is called records"],
    ["for the record as a whole", "{{ record | json }}", "record needs the name of a column"],
    [
      "for a column that the row decides",
      "{{ record[record['plan']] }}",
      "record needs the name of a column",
    ],
    [
      "for a loop over the record",
      "{% for pair in record %}{% endfor %}",
      "record needs the name of a column",
    ],
    ["for a second meaning of record", "{% assign record = 1 %}", "gives the name record to something else"],
    [
      "for a loop that takes the name",
      "{% for record in record['tags'] %}{% endfor %}",
      "gives the name record",
    ],
    ["for an unknown filter", "{{ record['email'] | shout }}", "undefined filter: shout"],
    [
      "for a filter that evaluates text",
      "{{ record['tags'] | where_exp: 'x', 'y' }}",
      "undefined filter: where_exp",
    ],
    ["for an unknown tag", "{% shout %}", 'tag "shout" not found'],
    ["for include", "{% include 'x' %}", 'tag "include" not found'],
    ["for render", "{% render 'x' %}", 'tag "render" not found'],
    ["for layout", "{% layout 'x' %}", 'tag "layout" not found'],
    ["for block", "{% block x %}{% endblock %}", 'tag "block" not found'],
    ["for an open tag", "{% if record['n'] %}", "not closed"],
    ["for an open quote", "{{ record['n }}", "not closed"],
    ["for half an expression", "{% if record['n'] == %}{% endif %}", "an expression is not whole"],
    ["for two values side by side", "{{ record['n'] 'x' }}", "an expression is not whole"],
    ["for its length", "x".repeat(65_537), "longer than 65536 bytes"],
    ["for tags nested too deep", "{% if true %}".repeat(4_900), "cannot be used"],
  ])("%s", (_what, text, fault) => {
    expect(faultOf(text)).toContain(fault);
  });

  test("but a payload may use the record as a whole", () => {
    const template = parsed("{{ record | only: 'size', 'none' | json }}", { wholeRecord: true });
    expect(template.usesWhole).toBe(true);
    expect(template.render(templateScope(record))).toEqual({ ok: true, text: '{"none":null,"size":3}' });
  });
});

describe("a render fails without a word of the row", () => {
  test.each([
    ["a key that the value does not have", "{{ record['data'].missing }}", "does not have (line 1, column"],
    ["a key that the row names", "{{ record['data'][record['email']] }}", "does not have"],
    ["an object written as text", "{{ record['data'] }}", "add the filter json"],
    [
      "an object within a list",
      "{{ record['data'].nested | keys }}{{ record['data'] | concat: record['tags'] }}",
      "json",
    ],
    ["an object in a filter of texts", "{{ record['data'] | upcase }}", "a filter cannot take its value"],
    [
      "an object in a captured text",
      "{% capture x %}{{ record['data'] }}{% endcapture %}",
      "add the filter json",
    ],
    ["a division by zero", "{{ record['size'] | divided_by: 0 }}", "divides by zero"],
    ["a remainder by null", "{{ record['size'] | modulo: record['none'] }}", "divides by zero"],
    ["base64 that is none", "{{ record['email'] | base64_decode }}", "a filter cannot take its value"],
    ["keys of a text", "{{ record['email'] | keys }}", "the filter keys needs an object"],
    ["a loop of more than 10,000 rounds", "{% for i in (1..10001) %}{% endfor %}", "more than 10000 rounds"],
    [
      "loops in loops",
      "{% for i in (1..101) %}{% for j in (1..100) %}x{% endfor %}{% endfor %}",
      "more than 10000 rounds",
    ],
    [
      "a table of too many cells",
      "{% tablerow i in (1..10001) %}{% endtablerow %}",
      "more than 10000 rounds",
    ],
    ["a range that fills the memory", "{% assign x = (1..100000000) %}", "it makes too much"],
    [
      "an output of more than 1 MiB",
      `{% for i in (1..1100) %}${"x".repeat(1_000)}{% endfor %}`,
      "writes more than 1048576 bytes",
    ],
    [
      "an output of more than 1 MiB that has fewer characters",
      `{% for i in (1..1000) %}${"鍵".repeat(400)}{% endfor %}`,
      "writes more than 1048576 bytes",
    ],
    [
      "a text that doubles",
      "{% assign x = 'xxxxxxxx' %}{% for i in (1..40) %}{% assign x = x | append: x %}{% endfor %}",
      "it makes too much",
    ],
    [
      "captures that grow",
      "{% capture x %}y{% endcapture %}{% for i in (1..40) %}{% capture x %}{{ x }}{{ x }}{% endcapture %}{% endfor %}",
      "writes more than",
    ],
  ])("%s", (_what, text, fault) => {
    const result = rendered(text);
    expect(result).toMatchObject({ ok: false });
    const message = result.ok ? "" : result.message;
    expect(message).toContain(fault);
    for (const value of Object.values({ ...record, size: "secret" }))
      expect(message).not.toContain(String(value));
  });

  test("a render of more than a second", () => {
    let nowMs = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => {
      nowMs += 1;
      return nowMs;
    });
    const result = rendered("{% for i in (1..600) %}{% endfor %}");
    clock.mockRestore();
    expect(result).toMatchObject({
      ok: false,
      message: expect.stringContaining("takes longer than 1000 ms"),
    });
  });
});

describe("a record cannot reach what JavaScript objects inherit", () => {
  test.each(["constructor", "__proto__", "toString"])("through %s", (name) => {
    expect(rendered(`{{ record['data'].${name} }}`)).toMatchObject({ ok: false });
    const own = JSON.parse(`{"data": {"${name}": "own"}}`) as object;
    expect(parsed(`{{ record['data'].${name} }}`).render(templateScope(own))).toEqual({
      ok: true,
      text: "own",
    });
  });
});

describe("a payload of JSON", () => {
  const json = { json: true };

  test("escapes texts where they stand, and leaves json and raw alone", () => {
    const text = `{"a": "{{ record['plan'] }}", "b": {{ record['plan'] | json }}, "c": {{ record['size'] }}, "d": {{ "[1]" | raw }}}`;
    const result = rendered(text, json);
    expect(result.ok && JSON.parse(result.text)).toEqual({ a: record.plan, b: record.plan, c: 3, d: [1] });
  });

  test("escapes what echo writes as well", () => {
    expect(rendered(`"{% echo record['plan'] %}"`, json)).toEqual({
      ok: true,
      text: JSON.stringify(record.plan),
    });
  });

  test("goes through the records of a batch", () => {
    const options: Partial<TemplateOptions> = { variable: "records", json: true };
    const text = `[{% for r in records %}{{ r['size'] }}{% unless forloop.last %},{% endunless %}{% endfor %}, {{ records.size }}, {{ records[0].size }}]`;
    const template = parsed(text, options);
    expect(template.columns).toEqual(["size"]);
    expect(template.render(templateScope([record, { ...record, size: 4 }]))).toEqual({
      ok: true,
      text: "[3,4, 2, 3]",
    });
    expect(faultOf("{% for r in records %}{{ r['sise'] }}{% endfor %}", options)).toContain("no column sise");
    expect(faultOf("{{ records[0]['sise'] }}", options)).toContain("no column sise");
    expect(faultOf("{{ record['size'] }}", options)).toContain("nothing is called record");
  });
});
