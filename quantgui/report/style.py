"""The report's style sheet: light and dark by the reader's system, and quiet on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --soft: #5c6670; --rule: #dfe3e8; --card: #f5f7f9;
  --before: #0072b2; --after: #d55e00; --error: #b0578f; --good: #00734f; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16191d; --ink: #e6e9ec; --soft: #9aa5b0; --rule: #30363d; --card: #1f2429;
    --before: #56b4e9; --after: #e69f00; --error: #cc79a7; --good: #3fc79a; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 40px 32px 64px; max-width: 1040px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 Inter, "Segoe UI", system-ui, -apple-system, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
h1 { font-size: 26px; line-height: 1.25; margin: 4px 0 8px; }
h2 { font-size: 18px; margin: 40px 0 10px; }
h3 { font-size: 15px; margin: 18px 0 4px; }
p { margin: 6px 0; } .soft { color: var(--soft); } .eyebrow { color: var(--soft); margin: 0; }
code, pre { font: 12.5px/1.5 "JetBrains Mono", "SF Mono", Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--card); padding: 12px 14px; border-radius: 6px; overflow-x: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 22px 0; }
.figures div { background: var(--card); border-radius: 8px; padding: 12px 14px; }
.figures dt { color: var(--soft); font-size: 13px; } .figures dd { margin: 0; font-size: 20px; font-weight: 600; }
.figures small { display: block; color: var(--soft); font-size: 12px; font-weight: 400; overflow-wrap: anywhere; }
.verdict { border-left: 4px solid var(--soft); padding: 6px 14px; background: var(--card); border-radius: 0 6px 6px 0; }
.verdict.verified { border-color: var(--good); } .verdict.failed { border-color: var(--bad); }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { text-align: left; color: var(--soft); font-weight: 500; white-space: nowrap; }
th, td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; } td.words { overflow-wrap: anywhere; }
td.words:first-child { min-width: 130px; }
.wide { overflow-x: auto; } .pair { display: flex; flex-wrap: wrap; gap: 16px; }
svg { max-width: 100%; height: auto; display: block; } svg .axis { fill: var(--soft); font-size: 11px; }
svg .value { font-size: 11px; } svg .base { stroke: var(--rule); }
svg .level { stroke: var(--after); stroke-width: 1.5; }
svg .fill { opacity: .55; } svg .fill.before { fill: var(--before); } svg .fill.error { fill: var(--error); }
svg .outline { fill: none; stroke-width: 1.4; } svg .outline.each { stroke: var(--soft); stroke-width: 0.8; }
svg .outline.after { stroke: var(--after); }
svg .band { fill: var(--error); opacity: .13; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin: 0 5px 0 12px; }
.key.before { background: var(--before); margin-left: 0; } .key.after { background: var(--after); }
.key.error { background: var(--error); }
summary { cursor: pointer; font-size: 18px; font-weight: 600; margin: 40px 0 10px; }
footer { margin-top: 48px; color: var(--soft); font-size: 13px; border-top: 1px solid var(--rule); padding-top: 10px; }
@media print { body { padding: 0; max-width: none; font-size: 11pt; } .figures div, .verdict, pre { background: none;
  border: 1px solid #cccccc; } h2, h3 { break-after: avoid; } svg, tr { break-inside: avoid; } }
"""
