/** Colours are custom properties: the timeline's canvas reads them too. */
export const style = `
:root {
  color-scheme: light dark;
  --back: #f6f7f9; --card: #fff; --text: #1d2430; --muted: #667085; --line: #e3e7ed; --accent: #2563c9;
  --rollback: #3d7fd6; --nodb: #9aa5b4; --truncate: #e0912f; --schema: #c4507e; --dirty: #9a5fc0; --unmanaged: #3b9f86;
  --failed: #d42e4b; --passed: #2c8a57; --file: #dfe4ec; --suite: #edf0f4; --cost: #2563c91f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12151a; --card: #1a1e25; --text: #dde3ec; --muted: #8b96a8; --line: #2b313b; --accent: #6ea3f2;
    --rollback: #4c8ce0; --nodb: #6b7686; --truncate: #dd9a45; --schema: #d76a95; --dirty: #ab7ad0; --unmanaged: #48ab92;
    --failed: #f0566f; --passed: #4cb77f; --file: #303844; --suite: #252b35; --cost: #6ea3f22e;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px clamp(12px, 3vw, 40px) 60px; max-width: 1500px; background: var(--back); color: var(--text);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 4px 24px; margin-bottom: 16px; }
h1 { margin: 0; font-size: 22px; letter-spacing: -.01em; }
h2 { margin: 0; font-size: 15px; }
header p { margin: 0; }
.muted { color: var(--muted); }
.verdict { margin-left: 8px; padding: 2px 10px; border-radius: 20px; font-size: 13px; font-weight: 600; color: #fff; vertical-align: 3px; letter-spacing: 0; }
.verdict.passed { background: var(--passed); } .verdict.failed { background: var(--failed); }
section { margin-bottom: 18px; padding: 16px 18px; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); padding: 0; overflow: hidden; gap: 1px; background: var(--line); }
.card { display: flex; flex-direction: column; padding: 14px 18px; background: var(--card); }
.card h2 { font-size: 13px; font-weight: 500; color: var(--muted); }
.card b { font-size: 28px; font-weight: 600; line-height: 1.25; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.card span { color: var(--muted); font-size: 13px; }
.notes { border-left: 4px solid var(--truncate); } .notes.bad { border-left-color: var(--failed); }
.notes li { white-space: pre-wrap; overflow-wrap: anywhere; }
.notes ul { margin: 6px 0 0; padding-left: 18px; }
.title { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; margin-bottom: 10px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 0; color: var(--muted); font-size: 13px; flex: 1; }
.legend i { display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 2px; }
i.rollback { background: var(--rollback); } i.nodb { background: var(--nodb); } i.truncate { background: var(--truncate); }
i.dirty { background: var(--dirty); } i.unmanaged { background: var(--unmanaged); } i.failed { background: var(--failed); }
.stage { position: relative; }
canvas { display: block; width: 100%; border-radius: 4px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#tip { position: absolute; z-index: 2; max-width: min(560px, 90%); padding: 8px 11px; border: 1px solid var(--line); border-radius: 7px;
  background: var(--card); box-shadow: 0 4px 18px #0003; pointer-events: none; font-size: 12.5px; overflow-wrap: anywhere; }
#tip[hidden] { display: none; }
#tip div:first-child { font-weight: 600; }
#tip div + div { color: var(--muted); }
.hint { margin: 6px 0 0; font-size: 12.5px; }
button { padding: 3px 10px; border: 1px solid var(--line); border-radius: 6px; background: var(--card); color: inherit; font: inherit; font-size: 13px; cursor: pointer; }
button:hover { border-color: var(--accent); }
button[aria-pressed=true] { border-color: var(--accent); background: var(--accent); color: var(--card); }
button small { opacity: .7; }
.buttons { display: flex; flex-wrap: wrap; gap: 5px; }
.columns { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 18px; align-items: start; }
@media (max-width: 900px) { .columns { grid-template-columns: minmax(0, 1fr); gap: 0; } }
.scroll { margin: 8px 0 12px; }
@media (max-width: 900px) { .scroll { overflow-x: auto; } }
table { width: 100%; border-collapse: collapse; }
th { padding: 5px 10px; border-bottom: 1px solid var(--line); color: var(--muted); font-size: 12.5px; font-weight: 500; text-align: left; white-space: nowrap; }
td { padding: 5px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.path { min-width: 150px; overflow-wrap: anywhere; }
th button { margin: -3px -10px; padding: 3px 10px; border: 0; background: none; color: inherit; font-size: inherit; }
th[aria-sort] { color: var(--text); font-weight: 600; }
th[aria-sort=ascending] button::after { content: " ↑"; } th[aria-sort=descending] button::after { content: " ↓"; }
summary { color: var(--muted); font-size: 13px; cursor: pointer; }
#tests { font-size: 13px; }
#tests thead th { position: sticky; top: 0; background: var(--card); }
#tests .name { min-width: 260px; overflow-wrap: anywhere; }
#tests .tables { color: var(--muted); overflow-wrap: anywhere; }
#tests tbody tr:hover { background: var(--cost); }
#tests tr.failed .name > div:first-child { color: var(--failed); font-weight: 600; }
#tests tr.pending { opacity: .6; }
.where { color: var(--muted); font-size: 12px; }
.cost { background: linear-gradient(to left, var(--cost) var(--part, 0%), transparent var(--part, 0%)); }
.error, .failed-text, .state.failed { color: var(--failed); }
.error { margin-top: 2px; font-size: 12.5px; } .error summary { color: inherit; font-size: inherit; }
.error pre { margin: 4px 0; overflow-x: auto; white-space: pre-wrap; }
.mode { display: inline-block; padding: 0 8px; border-radius: 20px; font-size: 12px; color: #fff; background: var(--nodb); }
.mode.rollback { background: var(--rollback); } .mode.truncate { background: var(--truncate); } .mode.dirty { background: var(--dirty); } .mode.unmanaged { background: var(--unmanaged); }
#search { flex: 1; min-width: 220px; max-width: 420px; padding: 6px 12px; border: 1px solid var(--line); border-radius: 6px; background: var(--back); color: inherit; font: inherit; }
#more { width: 100%; padding: 8px; } #more[hidden] { display: none; }
.bars { display: grid; grid-template-columns: minmax(90px, auto) 1fr auto; gap: 5px 12px; align-items: center; margin: 10px 0; font-size: 13px; }
.bars span { overflow-wrap: anywhere; } .bars i { height: 10px; border-radius: 3px; background: var(--truncate); }
.bars b { font-weight: 500; font-variant-numeric: tabular-nums; }
@media print { .buttons, #search, #more { display: none; } }
`;
