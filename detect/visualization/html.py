"""Pages that are one file: style, script and pictures inside, nothing fetched, light and dark, readable on a phone.

A page may use the colours of `STYLE` as CSS variables, and the classes `muted`, `number` (a column or a figure set
with digits of one width), `scroll` (around what is wider than a phone) and, of a table, `sortable`: a click on a
heading sorts by that column, by a cell's `data-value` where it has one.
"""

import base64
import html

import cv2
import numpy as np

_LIGHT = """
  color-scheme: light; --page: #f7f7f5; --surface: #ffffff; --raised: #f0f0ec; --text: #1d1f23; --muted: #62666d;
  --line: #dedfda; --accent: #1f6feb; --bad: #c62a2f;
  --shadow: 0 1px 2px #0000001a;"""
_DARK = """
  color-scheme: dark; --page: #131416; --surface: #1c1e21; --raised: #26292d; --text: #e8e9eb; --muted: #9aa0a8;
  --line: #33363b; --accent: #6ea8fe; --bad: #ff8589; --shadow: none;"""
_COLOURS = f"""
:root {{ {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ {_DARK} }} }}
@media screen {{ :root[data-theme=dark] {{ {_DARK} }} }}
"""

_RULES = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 48px 4px 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 40px 0 12px; } h3 { font-size: 1rem; margin: 24px 0 8px; }
p { margin: 0 0 12px; } a { color: var(--accent); }
.muted { color: var(--muted); } .number { font-variant-numeric: tabular-nums; } .scroll { overflow-x: auto; }
img { max-width: 100%; height: auto; display: block; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px 5px 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--muted); font-weight: 600; font-size: .87rem; }
th.number, td.number { text-align: right; }
table.sortable th { cursor: pointer; user-select: none; }
table.sortable th[aria-sort=ascending]::after { content: " \\2191"; }
table.sortable th[aria-sort=descending]::after { content: " \\2193"; }
button, select, input { font: inherit; color: inherit; background: var(--surface); border: 1px solid var(--line);
  border-radius: 8px; padding: 5px 10px; }
button { cursor: pointer; } :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#theme { position: absolute; top: 20px; right: 20px; width: 36px; height: 36px; padding: 0; }
@media (max-width: 600px) { main { padding: 16px 12px 48px; } #theme { top: 12px; right: 12px; }
  h1 { font-size: 1.3rem; } }
@media print { #theme { display: none; } body { background: #fff; } }
"""
STYLE = _COLOURS + _RULES

SCRIPT = """
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
});
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((heading, column) => {
    heading.tabIndex = 0;
    const value = row => { const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim();
      return text === "" || isNaN(text) ? text : Number(text); };
    const sort = () => {
      const down = heading.getAttribute("aria-sort") !== "descending";
      table.querySelectorAll("thead th").forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b
        : typeof a === "number" ? 1 : typeof b === "number" ? -1 : a.localeCompare(b);
      const body = table.tBodies[0], sign = down ? -1 : 1;
      body.append(...[...body.rows].sort((a, b) => compare(value(a), value(b)) * sign));
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
}
"""

# The browser itself refuses whatever would come from elsewhere.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(title: str, body: str, extra_css: str = "", script: str = "") -> str:
    """A whole HTML page: the title as heading is `body`'s own matter; `title` is plain text, the others are trusted.

    Text from files that goes into `body` must be passed through `text`.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{text(title)}</title>
<style>{STYLE}{extra_css}</style>
</head>
<body>
<button id="theme" title="light or dark" aria-label="light or dark">&#9680;</button>
<main>
{body}
</main>
<script>{SCRIPT}{script}</script>
</body>
</html>
"""


def text(value: object) -> str:
    """Text for a page, in an attribute too; what UTF-8 cannot hold becomes \\udc80 or the like."""
    return html.escape(str(value).encode("utf-8", "backslashreplace").decode())


def picture(image: np.ndarray, alt: str, quality: int = 85) -> str:
    """An <img> of an RGB picture (H, W, 3) uint8, inside the page as JPEG, loaded when it comes into view."""
    height, width = image.shape[:2]
    return (
        f'<img src="{data_uri(image, quality)}" width="{width}" height="{height}" alt="{text(alt)}" loading="lazy" '
        'decoding="async">'
    )


def data_uri(image: np.ndarray, quality: int = 85) -> str:
    """An RGB picture (H, W, 3) uint8 as the address of a JPEG, data:image/jpeg;base64,..."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR), options)
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
