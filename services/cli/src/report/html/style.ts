// The look of a report: one column that fits a telephone, light and dark by the reader's own setting, nothing fetched.
import { Html } from './html.ts';

export const style = new Html(`
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c2024;--soft:#5d6670;--line:#e2e5e8;--good:#14794a;--good-bg:#e7f5ed;
--warn:#8a5a00;--warn-bg:#fdf3dc;--bad:#b42318;--bad-bg:#fdeceA;--accent:#2458b8;--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){:root{--bg:#121518;--card:#1a1e22;--ink:#e4e8ec;--soft:#9aa5b0;--line:#2c3238;--good:#5cc690;--good-bg:#12301f;
--warn:#e0b25a;--warn-bg:#33270d;--bad:#f4877d;--bad-bg:#3a1613;--accent:#8db4ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 16px 60px}
h1{font-size:1.05rem;font-weight:600;margin:0;color:var(--soft)}
h2{font-size:1.15rem;margin:36px 0 10px}
h3{font-size:.95rem;margin:18px 0 6px}
p{margin:6px 0}
.soft{color:var(--soft)}
.meta{color:var(--soft);font-size:.87rem;overflow-wrap:anywhere}
.verdict{border-radius:10px;padding:16px 18px;margin:12px 0;font-size:1.2rem;line-height:1.35;border-left:6px solid}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.verdict.good{background:var(--good-bg)}.verdict.warn,.verdict.unknown{background:var(--warn-bg);color:var(--warn)}.verdict.bad{background:var(--bad-bg)}
.card,details.finding{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:10px 0}
.card{padding:14px 16px}
.account{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.bar{display:flex;height:12px;border-radius:6px;overflow:hidden;background:var(--line);margin:10px 0 4px}
.bar i{display:block;min-width:2px}
.o-replayed{background:#2e9e68}.o-filtered{background:#8d99a6}.o-unexposed{background:#b7c0c9}.o-shed{background:#d99a2b}.o-failed{background:#d1483b}.o-inFlight{background:#5b8def}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(160px,1fr));gap:10px}
.fact{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 12px}
.fact b{display:block;font-size:1.05rem;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.fact span{color:var(--soft);font-size:.82rem}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:1px solid var(--line);padding:6px 10px 6px 0;white-space:nowrap}
td{border-bottom:1px solid var(--line);padding:6px 10px 6px 0;vertical-align:top}
tr:last-child td{border-bottom:0}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,pre,.mono{font-family:var(--mono);font-size:.84rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:8px 0;max-height:26em;overflow:auto}
code{overflow-wrap:anywhere}
td code{display:block;min-width:180px;max-width:560px}
summary{cursor:pointer;padding:12px 16px;display:flex;gap:8px 12px;align-items:baseline;flex-wrap:wrap}
summary code{flex:1 1 340px;min-width:0;display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden}
summary::marker{content:""}
summary:focus-visible{outline:2px solid var(--accent);outline-offset:-2px;border-radius:10px}
details.finding>div{padding:0 16px 14px}
.tag{font-size:.76rem;font-weight:600;border-radius:20px;padding:2px 9px;white-space:nowrap;background:var(--line);color:var(--ink)}
.tag.bad{background:var(--bad-bg);color:var(--bad)}.tag.warn{background:var(--warn-bg);color:var(--warn)}.tag.good{background:var(--good-bg);color:var(--good)}
.count{font-variant-numeric:tabular-nums;white-space:nowrap;font-weight:600}
.sides{display:grid;grid-template-columns:1fr 1fr;gap:12px;margin:8px 0}
.side{min-width:0}
.side>b{font-size:.8rem;color:var(--soft)}
.diff{width:auto;min-width:50%}.diff td,.diff th{padding:3px 10px 3px 0;font-family:var(--mono);font-size:.8rem;white-space:pre-wrap;overflow-wrap:anywhere;min-width:3em}
.diff .gap td{color:var(--soft);font-style:italic;font-family:inherit}
.diff .was{background:var(--bad-bg)}.diff .is{background:var(--good-bg)}
.diff .was .d{color:var(--bad);font-weight:700}.diff .is .d{color:var(--good);font-weight:700}
.diff td:first-child{padding-left:6px;white-space:nowrap;color:var(--soft)}
.plot{width:100%;height:auto;max-width:720px;display:block}
.plot text{fill:var(--soft);font-size:12px;font-family:inherit}
.plot .axis{stroke:var(--line)}.plot .even{stroke:var(--soft);stroke-dasharray:4 4}
.dot{stroke:var(--card);stroke-width:1}
.dot.equal{fill:#2e9e68}.dot.differs{fill:#d99a2b}.dot.breaks{fill:#d1483b}
.line{fill:none;stroke:var(--accent);stroke-width:1.5}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.84rem;color:var(--soft)}
.legend i{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:5px}
.i-equal{background:#2e9e68}.i-differs{background:#d99a2b}.i-breaks{background:#d1483b}
ul{padding-left:20px;margin:6px 0}
footer{margin-top:40px;color:var(--soft);font-size:.84rem}
@media (max-width:640px){.plot text{font-size:20px}main{padding:14px 12px 40px}.sides{grid-template-columns:1fr}.verdict{font-size:1.08rem;padding:13px 14px}summary{padding:11px 12px}summary code{flex-basis:100%;order:9}details.finding>div{padding:0 12px 12px}.card{padding:12px}}
@media print{details.finding>div{display:block}body{background:#fff}}
`);
