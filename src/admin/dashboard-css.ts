/** The dashboard's style: light or dark as the system is. */
export const dashboardCss = `:root {
  --ground: #fbfbf9; --text: #1d2327; --soft: #5b656d; --line: #d9dcd8; --card: #fff; --accent: #0b6e66; --warn: #a3330b;
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181b; --text: #e6e9e8; --soft: #a0abb1; --line: #333b40; --card: #1c2226; --accent: #5fd0c4; --warn: #ff9b73; }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
header { display: flex; gap: 1rem; align-items: baseline; }
header button { margin-left: auto; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1rem; margin: 0 0 .6rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 1rem; margin: 1rem 0; }
#state { color: var(--soft); margin: 0; }
#state.bad { color: var(--warn); }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .8rem; margin: 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .text { text-align: left; }
td.text { max-width: 27rem; overflow: hidden; text-overflow: ellipsis; }
td.tags { max-width: 19rem; }
th { color: var(--soft); font-weight: 500; }
form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .6rem 0; }
input { flex: 1 1 12rem; padding: .35rem .5rem; }
input, button { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 4px; }
button { padding: .3rem .7rem; cursor: pointer; }
button:hover { border-color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
pre { overflow-x: auto; margin: .8rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
pre:empty, #purged:empty { display: none; }
#purged { color: var(--accent); }
meter { width: 8rem; }
`;
