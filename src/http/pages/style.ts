/** How the pages look: one sheet, light or dark as the reader's system is, wide screen or phone. */

/** The whole sheet; it stands in each page, which loads nothing from anywhere. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #5a6576; --line: #dde2ea; --field: #ffffff;
  --accent: #2f5fd0; --accent-ink: #ffffff; --accent-wash: #eaf0fd;
  --good: #1c7a4a; --good-wash: #e7f5ed; --bad: #b3261e; --bad-wash: #fdeceb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #11151b; --card: #191f28; --ink: #e6eaf1; --soft: #9aa6b8; --line: #2c3543; --field: #11161d;
    --accent: #86a9ff; --accent-ink: #0e1420; --accent-wash: #1d2940;
    --good: #7fd1a3; --good-wash: #16291f; --bad: #ff9d94; --bad-wash: #331b1a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 42rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
main.wide { max-width: 58rem; }
.brand { display: flex; align-items: center; gap: .5rem; color: var(--soft); font-size: .875rem; margin: 0 0 1.25rem; }
.brand svg { flex: none; color: var(--accent); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.75rem; }
.card + .card { margin-top: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; letter-spacing: -.01em; margin: 0 0 .35rem; text-wrap: balance; }
h2 { font-size: 1.0625rem; margin: 2rem 0 .25rem; }
p { margin: 0 0 1rem; }
.lead { color: var(--soft); margin-bottom: 1.5rem; }
a { color: var(--accent); }
fieldset { border: 0; padding: 0; margin: 0; min-width: 0; }
legend { padding: 0; font-weight: 600; font-size: 1.0625rem; margin: 0 0 .75rem; }
.section { margin-top: 2rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
fieldset.section > legend { float: left; width: 100%; }
fieldset.section > legend + * { clear: both; }
.field { margin: 0 0 1.15rem; }
.field > label, .label { display: block; font-weight: 550; font-size: .9375rem; margin-bottom: .3rem; }
.optional { color: var(--soft); font-weight: 400; }
.hint { color: var(--soft); font-size: .8438rem; line-height: 1.45; margin: .35rem 0 0; }
.hint code, .lead code { font-size: .95em; }
.fault { color: var(--bad); font-size: .875rem; margin: .35rem 0 0; }
.row { display: grid; grid-template-columns: 1fr; gap: 0 1rem; }
@media (min-width: 34rem) { .row.two { grid-template-columns: 1fr 1fr; } .row.host { grid-template-columns: 1fr 8rem; } .row.three { grid-template-columns: 1fr 1fr 1fr; } }
input, select, textarea, button { font: inherit; color: inherit; }
input:not([type=checkbox]):not([type=radio]), select, textarea {
  width: 100%; min-height: 2.65rem; padding: .5rem .7rem; background: var(--field);
  border: 1px solid var(--line); border-radius: 8px;
}
textarea { min-height: 5rem; resize: vertical; font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .875rem; }
input::placeholder { color: color-mix(in srgb, var(--soft) 75%, transparent); }
[aria-invalid=true] { border-color: var(--bad) !important; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.check { display: flex; gap: .6rem; align-items: flex-start; margin: 0 0 1rem; }
.check input { width: 1.1rem; height: 1.1rem; margin: .25rem 0 0; accent-color: var(--accent); flex: none; }
.check label { font-weight: 500; font-size: .9375rem; }
.check .hint { margin-top: .1rem; }
.kept { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; font-size: .8438rem; color: var(--soft); margin: .35rem 0 0; }
.kept label { display: inline-flex; gap: .4rem; align-items: center; cursor: pointer; }
.pair .field { margin-bottom: .5rem; }
details.aside { margin: -.35rem 0 1.5rem; }
details.aside > summary { cursor: pointer; color: var(--accent); font-size: .9063rem; }
details.aside[open] > summary { margin-bottom: .75rem; }
details.more { border-top: 1px solid var(--line); margin-top: 1.5rem; padding-top: 1rem; }
details.more > summary { cursor: pointer; color: var(--accent); font-weight: 550; font-size: .9375rem; padding: .25rem 0; }
details.more[open] > summary { margin-bottom: 1rem; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin-top: 1.75rem; }
button, .button {
  display: inline-block; min-height: 2.65rem; padding: .5rem 1.15rem; border-radius: 8px; border: 1px solid var(--line);
  background: var(--card); font-weight: 550; cursor: pointer; text-decoration: none; line-height: 1.55;
}
button:hover, .button:hover { border-color: var(--accent); }
button.main, .button.main { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
button.main:hover, .button.main:hover { filter: brightness(1.07); }
button.quiet { border-color: transparent; background: transparent; color: var(--soft); }
button.small { min-height: 2.1rem; padding: .2rem .8rem; font-size: .875rem; }
.framed-only { display: none; }
[data-framed] .framed-only { display: inline-block; }
[data-framed] main { padding-top: 1.25rem; }
.note { border-radius: 10px; padding: .8rem 1rem; margin: 0 0 1.25rem; font-size: .9375rem; border-left: 3px solid; overflow-wrap: anywhere; }
.note p { margin: 0; } .note ul { margin: .35rem 0 0; padding-left: 1.1rem; }
.note.good { background: var(--good-wash); border-color: var(--good); }
.note.bad { background: var(--bad-wash); border-color: var(--bad); }
.note.plain { background: var(--accent-wash); border-color: var(--accent); }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 0 0 1.5rem; font-size: .9375rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
table.map { width: 100%; border-collapse: collapse; margin: .75rem 0 .5rem; }
table.map th { text-align: left; font-size: .8125rem; font-weight: 550; color: var(--soft); padding: 0 .5rem .35rem 0; }
table.map td { vertical-align: top; padding: .3rem .5rem .3rem 0; }
table.map td:last-child, table.map th:last-child { padding-right: 0; text-align: right; width: 1%; white-space: nowrap; }
table.map .arrow { width: 1%; color: var(--soft); padding-top: .8rem; }
table.map input.value { margin-top: .35rem; }
.keyfield { display: inline-block; padding: .5rem 0; font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .875rem; }
.tag { display: inline-block; font-size: .75rem; font-weight: 550; color: var(--accent); background: var(--accent-wash); border-radius: 99px; padding: .1rem .55rem; }
.drop { display: inline-flex; gap: .4rem; align-items: center; padding-top: .55rem; color: var(--soft); font-size: .875rem; cursor: pointer; }
.drop input, .kept input { accent-color: var(--accent); }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@supports selector(:has(a)) {
  .schedule [class*=" on-"] { display: none; }
  .schedule:has([value=weekly]:checked) .on-day { display: block; }
  .schedule:has([value=weekly]:checked, [value=daily]:checked) .on-hour { display: block; }
  .schedule:has([value=weekly]:checked, [value=daily]:checked, [value=hourly]:checked) .on-minute { display: block; }
  .schedule:has([value=expression]:checked) .on-cron { display: block; }
  table.map .text { display: none; }
  table.map td:has([value=constant]:checked, [value=template]:checked) .text { display: block; }
}
@media (max-width: 33.99rem) {
  .card { padding: 1.25rem; border-radius: 12px; }
  main { padding: 1.5rem .9rem 3rem; }
  .actions button { flex: 1 1 auto; }
  table.map, table.map tbody { display: block; }
  table.map thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  table.map tr { display: grid; grid-template-columns: 1fr auto; gap: .35rem .75rem; padding: .75rem 0; border-top: 1px solid var(--line); }
  table.map td, table.map td:last-child { padding: 0; width: auto; text-align: left; }
  .drop .sr { position: static; width: auto; height: auto; clip-path: none; }
  table.map td.from { grid-column: 1 / -1; } table.map .arrow { display: none; }
}
`;
