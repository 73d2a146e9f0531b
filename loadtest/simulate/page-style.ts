// The page's style sheet. Light and dark; nothing else.

export const pageStyle = `
:root{--bg:#fff;--text:#1b1f24;--soft:#6a737d;--line:#d8dee4;--panel:#f6f8fa;--a:#2f6fb5;--b:#e0782c;--c:#3d9a50;--d:#cf3f4f;--e:#8d5fb0;--f:#3aa6a0;--weights:#4e79a7;--kv:#e15759;--act:#edc948;--grey:#b3bac2;--kept:#f3c1c3}
@media (prefers-color-scheme:dark){:root{--bg:#15191e;--text:#e4e8ec;--soft:#98a2ad;--line:#333b44;--panel:#1e242b;--a:#6aa9ec;--b:#f0a060;--c:#72c884;--d:#f0757f;--e:#c09ae0;--f:#6fd0ca;--grey:#6a737d;--kept:#6b3a3e}}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,sans-serif}
main{max-width:980px;margin:0 auto;padding:24px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:19px;margin:32px 0 8px}h3{font-size:15px;margin:16px 0 4px}
.sub,p{color:var(--soft);margin:4px 0 10px}
li{margin:6px 0}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:12px;overflow:auto;font-size:12.5px;line-height:1.45}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:14px}
.plans{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:14px;margin:6px 0 16px}
svg{width:100%;background:var(--panel);border:1px solid var(--line);border-radius:6px}
.plans svg{border:0;background:none}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
svg text.title{font-weight:600;font-size:13px;fill:var(--text)}
svg text.tile{font-size:9px;fill:#fff;text-anchor:middle;paint-order:stroke;stroke:#0006;stroke-width:2px}
.grid{stroke:var(--line)}.border{fill:none;stroke:var(--soft);stroke-width:.6}
.legend{margin:2px 0}.key{margin-right:16px}.key i{display:inline-block;width:11px;height:11px;margin-right:5px;border:1px solid var(--line)}
`;
