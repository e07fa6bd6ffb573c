"""How a report looks, on top of `detect.visualization.html` and `charts`.

The colours of the kinds of errors are after Okabe and Ito, told apart with any colour vision.
"""

KIND_COLOURS = {
    "correct": "var(--accent)",
    "found": "var(--accent)",
    "localisation": "#e69f00",
    "classification": "#d55e00",
    "time": "#cc79a7",
    "duplicate": "#56b4e9",
    "background": "#f0e442",
    "missed": "#a78bfa",
    "lost": "#009e73",
    "other": "#9a9da3",
}
CSS = "".join(f".k-{name} {{ --kind: {colour}; }}" for name, colour in KIND_COLOURS.items()) + """
main { max-width: 1120px; counter-reset: figure; }
header .muted { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 10px 0; margin: 14px 0 24px; font-size: .9rem;
  border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
nav a { text-decoration: none; }
h2 { font-size: 1.3rem; letter-spacing: -.01em; margin: 56px 0 6px; scroll-margin-top: 12px; }
h3 { margin: 20px 0 2px; }
p, figcaption { max-width: 76ch; } .lead { margin-bottom: 16px; }
figcaption, h3, .muted { overflow-wrap: anywhere; }
figure { margin: 18px 0 0; min-width: 0; break-inside: avoid; }
figcaption { font-size: .87rem; color: var(--muted); margin-top: 8px; line-height: 1.45; }
figure:not(.strip) > figcaption::before { counter-increment: figure; content: "Figure " counter(figure) ". ";
  color: var(--text); font-weight: 600; }
figcaption b { color: var(--text); }
.headline { display: grid; grid-template-columns: minmax(200px, auto) 1fr; gap: 20px 48px; align-items: center; }
.headline .big { font-size: 4.6rem; line-height: 1; font-weight: 650; letter-spacing: -.03em; color: var(--accent);
  font-variant-numeric: tabular-nums; }
.headline .big small { font-size: 1.6rem; font-weight: 500; margin-left: 4px; }
.stats { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 14px 22px; margin: 0; }
.stats div { border-left: 2px solid var(--line); padding-left: 10px; }
.stats dt { color: var(--muted); font-size: .82rem; line-height: 1.3; }
.stats dd { margin: 2px 0 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.stats dd small { display: block; font-weight: 400; color: var(--muted); font-size: .78rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 12px 36px; }
.charts svg.chart { max-width: 400px; }
.many { display: grid; grid-template-columns: repeat(auto-fill, minmax(158px, 1fr)); gap: 14px 16px; }
.many.curves { grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); }
.many h4 .number { white-space: nowrap; }
.many h4 { margin: 0 0 2px; font-size: .82rem; font-weight: 600; display: flex; justify-content: space-between;
  gap: 8px; }
.many h4 span:first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.many h4 .number { color: var(--accent); }
.many svg.chart { font-size: 10px; }
table { font-size: .9rem; } td.name, th.name { position: sticky; left: 0; background: var(--page); z-index: 1;
  max-width: 44vw; overflow: hidden; text-overflow: ellipsis; }
table.wide { width: 100%; border-collapse: separate; border-spacing: 0; }
tr.mean td { font-weight: 600; border-bottom: none; }
td.meter { min-width: 170px; } td.meter span { display: inline-block; width: 3.2em; text-align: right; }
td.meter i { display: inline-block; height: 9px; border-radius: 1px; background: var(--accent); margin-left: 8px;
  vertical-align: baseline; width: calc(var(--share) * (100% - 3.2em - 12px)); min-width: 1px; }
.rows { display: grid; grid-template-columns: fit-content(34%) 1fr 4.4em; gap: 4px 12px; align-items: center;
  font-size: .88rem; margin-top: 10px; }
.rows > span:nth-child(3n+1) { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.rows > span:nth-child(3n) { text-align: right; color: var(--muted); }
.stack { display: flex; height: 14px; background: var(--raised); }
.stack i { background: var(--kind, var(--accent)); border-right: 1px solid var(--page); }
.stack i:last-child { border-right: none; }

.stack.act { height: 20px; margin-top: 8px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: .85rem; margin: 10px 0 0; padding: 0;
  list-style: none; }
i.key { display: inline-block; width: 11px; height: 11px; margin-right: 6px; background: var(--kind, var(--accent)); }
i.key.truth { background: none; border: 2px solid var(--muted); }
table.confusion { margin-top: 10px; border-collapse: separate; border-spacing: 1px; font-size: .76rem; }
table.confusion th, table.confusion td { border: none; padding: 0; height: 25px; min-width: 30px; text-align: center; }
table.confusion tbody th { text-align: right; padding-right: 8px; font-weight: 500; color: var(--text);
  position: sticky;
  left: 0; background: var(--page); z-index: 1; max-width: 34vw; overflow: hidden; text-overflow: ellipsis; }
table.confusion thead th { height: auto; vertical-align: bottom; font-weight: 500; color: var(--text); }
table.confusion thead th span { writing-mode: vertical-rl; transform: rotate(180deg); padding: 4px 0 0;
  max-height: 11em;
  overflow: hidden; text-overflow: ellipsis; display: inline-block; text-align: left; }
table.confusion td { background: color-mix(in srgb, var(--accent) calc(var(--share) * 100%), var(--raised)); }
table.confusion td.wrong { background: color-mix(in srgb, #d55e00 calc(var(--share) * 100%), var(--raised)); }
table.confusion td.strong { color: #fff; }
:root[data-theme=dark] table.confusion td.half { color: #101113; }
.kind { margin-top: 26px; } .strip figcaption { max-width: none; }
.frames { display: grid; grid-template-columns: repeat(5, 1fr); gap: 6px; align-items: start; }
.frame svg { display: block; width: 100%; height: auto; background: #3a3d42; }
.frame small { display: block; text-align: center; color: var(--muted); font-size: .74rem; line-height: 1.5; }
.frame.keyframe svg { outline: 2px solid var(--accent); outline-offset: 1px; }
.frame.keyframe small { color: var(--text); font-weight: 600; }
.frame.none { border: 1px dashed var(--line); height: calc(100% - 1.2rem); }
.frame rect { fill: none; vector-effect: non-scaling-stroke; }
.frame .halo { stroke: #000; stroke-width: 3.6; opacity: .55; } .frame .truth { stroke: #fff; stroke-width: 1.6; }
.frame .found { stroke: var(--kind); stroke-width: 2; }
dl.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 3px 18px; font-size: .88rem; }
dl.facts dt { color: var(--muted); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
pre { font-size: .78rem; line-height: 1.45; background: var(--raised); padding: 12px; overflow-x: auto; }
details summary { cursor: pointer; margin: 10px 0; }
@media screen and (prefers-color-scheme: dark) {
  :root:not([data-theme=light]) table.confusion td.half { color: #101113; } }
@media (max-width: 600px) {
  .headline { grid-template-columns: 1fr; } .headline .big { font-size: 3.8rem; }
  .stats { grid-template-columns: repeat(2, 1fr); }
  .many, .many.curves { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .frames { grid-template-columns: repeat(4, 1fr); } .frame.keyframe { grid-column: 1 / -1; order: -1; }
  td.meter { min-width: 128px; } dl.facts { grid-template-columns: 1fr; gap: 0; } dl.facts dd { margin-bottom: 6px; }
}
@media print {
  main { max-width: none; padding: 0; } nav, #theme { display: none; } .scroll { overflow: visible; }
  h2, h3 { break-after: avoid; } .many > div, .kind > figure { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } body { font-size: 10.5pt; }
}
"""
