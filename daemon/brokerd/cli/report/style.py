"""The report's style sheet: one set of names, two sets of colours."""

STYLE = """
:root{--ground:#fbfbf9;--card:#fff;--ink:#1c2126;--soft:#66707a;--rule:#e3e5e8;--main:#2c6cb0;
--cost:#c4472f;--gain:#2a8a5a;--even:#8a94a0;--c1:#b5651d;--c2:#7a55b5;--c3:#2a8a8a;--c4:#b0487c}
@media (prefers-color-scheme:dark){:root{--ground:#14171a;--card:#1c2024;--ink:#e6e8ea;--soft:#98a2ac;
--rule:#32383e;--main:#6cabec;--cost:#f0806a;--gain:#5fc592;--even:#7d8894;--c1:#e2a05e;--c2:#b79af0;
--c3:#5fc9c9;--c4:#ee8ab8}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1220px;padding:28px 24px 48px;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:20px;margin:34px 0 12px;text-transform:capitalize}
h2 small{font-size:14px;font-weight:400;color:var(--soft);text-transform:none;margin-left:8px}
h3{font-size:15px;margin:0 0 6px}section>h3{margin:26px 0 8px}
header p,footer,figcaption,.none{color:var(--soft)}header p{margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px;margin-bottom:16px}
.tiles div,figure{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px 14px}
.tiles b{display:block;font-weight:500;font-size:13px;color:var(--soft)}
.tiles strong{display:block;font-size:18px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tiles span{font-size:12px;color:var(--soft);line-height:1.35;display:block}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr));gap:16px}
figure{margin:0;min-width:0}figcaption{font-size:12.5px;line-height:1.4;margin-top:4px}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--ink);font-size:11.5px}svg .tick,svg .name{fill:var(--soft);font-size:11px}
svg .label{font-size:11.5px}path{fill:none}
.axis{stroke:var(--soft)}.grid{stroke:var(--rule)}.zero{stroke:var(--soft);stroke-dasharray:3 3}
rect.cost{fill:var(--cost)}rect.gain{fill:var(--gain)}rect.even{fill:var(--even)}
rect.stage{fill:var(--main);opacity:.35}rect.reason{fill:var(--even);opacity:.45}
.dots{stroke:var(--main);stroke-width:4;stroke-linecap:round;opacity:.55}
.far{stroke:var(--cost);stroke-width:5;stroke-linecap:round}
.middle{stroke:var(--main);stroke-width:8;stroke-linecap:round}
.median{stroke:var(--c1);stroke-width:2}.mark{stroke:var(--ink);stroke-width:1.5}
.mark2{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:4 3}
svg text.mark,svg text.mark2{stroke:none}
.curve{stroke-width:1.8}path.c0{stroke:var(--main);stroke-width:2.4}path.c1{stroke:var(--c1)}
path.c2{stroke:var(--c2)}path.c3{stroke:var(--c3)}path.c4{stroke:var(--c4)}
svg text.c0{fill:var(--main)}svg text.c1{fill:var(--c1)}svg text.c2{fill:var(--c2)}
svg text.c3{fill:var(--c3)}svg text.c4{fill:var(--c4)}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:6px 9px;text-align:left;white-space:nowrap;border-bottom:1px solid var(--rule)}
th{font-weight:500;color:var(--soft)}tr:last-child td{border-bottom:0}.n{text-align:right}
footer{margin-top:28px;font-size:12.5px}
@media print{body{max-width:none}figure,.tiles div{break-inside:avoid}}
"""
