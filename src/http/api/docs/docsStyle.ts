/** The style of the API's page: one column beside a list, light or dark as the reader's system is. */

export const DOCS_STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --dim: light-dark(#555, #aaa); --accent: light-dark(#0b57a4, #7db9f5); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; background: light-dark(#fff, #16181c); color: light-dark(#1b1d21, #e6e7e9); }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.page { display: grid; grid-template-columns: 19rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1rem; border-right: 1px solid var(--line); font-size: .86rem; }
nav ul { list-style: none; margin: 0 0 .8rem; padding: 0; }
nav li a { display: flex; align-items: baseline; padding: .1rem 0; overflow-wrap: anywhere; }
nav h2 { font-size: .9rem; margin: .6rem 0 .2rem; }
main { padding: 1.5rem 2.5rem 6rem; max-width: 62rem; }
p { overflow-wrap: break-word; }
h1 { margin: 0 0 1rem; } h2 { margin: 3rem 0 .3rem; } h3 { margin: 0; font-size: 1.05rem; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem 1.2rem; margin: 1rem 0; }
article, h2 { scroll-margin-top: 1rem; }
article:target { outline: 2px solid var(--accent); }
code, pre { font: .86rem/1.45 ui-monospace, monospace; }
pre { background: var(--soft); border-radius: .4rem; padding: .7rem .9rem; overflow-x: auto; margin: .4rem 0; }
.method { display: inline-block; flex: none; width: 3.6rem; font: 600 .78rem ui-monospace, monospace; color: var(--accent); }
.path { font: .95rem ui-monospace, monospace; overflow-wrap: anywhere; }
.dim { color: var(--dim); } .right { float: right; font-size: .8rem; color: var(--dim); }
h4 { margin: .9rem 0 .2rem; font-size: .86rem; color: var(--dim); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-top: 1px solid var(--line); }
td:nth-child(-n+2) { white-space: nowrap; } td:last-child { padding-right: 0; width: 45%; }
.refusal { margin: .2rem 0; font-size: .9rem; }
@media (max-width: 60rem) {
  .page { display: block; } main { padding: 1rem; }
  nav { position: static; height: auto; border: 0; border-bottom: 1px solid var(--line); display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
  nav ul { display: none; } nav p { width: 100%; margin: 0; } nav h2 { margin: 0; line-height: 2; font-weight: 400; }
}
@media (max-width: 40rem) {
  .right { float: none; display: block; margin-bottom: .4rem; } article { padding: .8rem .9rem; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  table, tbody, tr { display: block; } tr { border-top: 1px solid var(--line); padding: .35rem 0; }
  td, td:last-child { display: block; width: auto; border: 0; padding: 0; overflow-wrap: anywhere; }
  td:nth-child(-n+2) { display: inline; } td:nth-child(2) { color: var(--dim); padding-left: .6rem; }
}
`;
