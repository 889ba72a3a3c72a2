"""The look of our pages: one self-contained HTML document, no outside address, readable without scripts."""

from html import escape
from typing import Literal

__all__ = ["Tone", "document", "facts", "pill", "table"]

Tone = Literal["good", "bad", "unknown", "plain"]

_STYLE = """
:root { color-scheme: light; --ink:#1b1f24; --soft:#59636e; --line:#d9dee4; --wash:#f6f8fa;
  --good:#11632f; --good-wash:#e9f6ed; --bad:#a3170d; --bad-wash:#fdeeec; --unknown:#7a4b00; --unknown-wash:#fdf4e0; }
* { box-sizing: border-box }
body { margin:0; background:#fff; color:var(--ink); font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif }
main { max-width:64rem; margin:0 auto; padding:1.5rem 1.25rem 4rem }
main.broad { max-width:80rem } main.broad th.n { white-space:normal } main.broad td:first-child { white-space:nowrap }
h1 { font-size:1.5rem; line-height:1.25; margin:0 0 .5rem }
h2 { font-size:1.1rem; margin:2.25rem 0 .5rem }
h3 { font-size:.95rem; margin:0 0 .25rem; font-weight:600 }
p { margin:.25rem 0 .75rem; max-width:48rem }
.soft { color:var(--soft) } .small { font-size:.875rem }
.verdict { border-left:.5rem solid var(--tone); background:var(--tone-wash); padding:1.1rem 1.4rem;
  border-radius:.25rem }
.verdict + .verdict { margin-top:.75rem } .verdict h2 { margin:0 0 .25rem; color:var(--tone) }
.verdict h1 { color:var(--tone) } .verdict p { margin-bottom:.6rem; max-width:none }
.verdict ol { margin:.25rem 0 0; padding-left:1.3rem }
.good { --tone:var(--good); --tone-wash:var(--good-wash) } .bad { --tone:var(--bad); --tone-wash:var(--bad-wash) }
.unknown { --tone:var(--unknown); --tone-wash:var(--unknown-wash) }
.plain { --tone:var(--soft); --tone-wash:var(--wash) }
.pill { display:inline-block; padding:.05rem .6rem; border-radius:1rem; border:1px solid var(--tone);
  color:var(--tone); background:var(--tone-wash); font-size:.875rem }
dl.facts { display:grid; grid-template-columns:repeat(auto-fill,minmax(17rem,1fr)); gap:1rem 1.5rem;
  margin:1.25rem 0 0 }
dl.facts dt { color:var(--soft); font-size:.85rem } dl.facts dd { margin:0; font-size:1.05rem }
dl.facts div:nth-child(-n+3) dd { font-size:1.5rem; line-height:1.3 }
dl.facts dd small { display:block; color:var(--soft); font-size:.85rem }
table { border-collapse:collapse; width:100%; font-size:.9rem; font-variant-numeric:tabular-nums }
th,td { text-align:left; padding:.35rem .6rem; border-bottom:1px solid var(--line); vertical-align:top }
th { color:var(--soft); font-weight:600; border-bottom-width:2px }
th.n,td.n { text-align:right; white-space:nowrap } tr.hit td { background:var(--bad-wash) }
tr.note td { background:var(--unknown-wash) }
tr.pick td { background:var(--good-wash) } .wide { overflow-x:auto }
.charts { display:grid; grid-template-columns:repeat(auto-fill,minmax(18.5rem,1fr)); gap:1.25rem 1.5rem }
figure { margin:0 } svg { width:100%; height:auto; display:block }
.key { display:inline-block; width:.8rem; height:.8rem; border-radius:.15rem; margin-right:.35rem;
  vertical-align:-.05rem }
.thumbs { display:flex; flex-wrap:wrap; gap:.75rem } .thumbs figure { width:6rem }
.thumbs img { width:6rem; height:6rem; object-fit:contain; image-rendering:pixelated; background:#e9ecef; display:block;
  border-radius:.2rem } .thumbs figcaption { font-size:.78rem; line-height:1.3; color:var(--soft); margin-top:.2rem }
details { margin-top:.5rem } summary { cursor:pointer; color:var(--soft) }
code { font:.9em ui-monospace,monospace } ul { margin:.25rem 0 .75rem; padding-left:1.3rem }
@media print { main { max-width:none } .verdict { border:1px solid } }
"""


def document(title: str, body: str, broad: bool = False) -> str:
    """A whole page around `body`, which is HTML. broad: for wide tables and pictures."""
    main = '<main class="broad">' if broad else "<main>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>{main}\n{body}\n</main></body></html>\n"
    )


def pill(text: str, tone: Tone) -> str:
    """A short label in a tone; the text carries the meaning, the colour only repeats it."""
    return f'<span class="pill {tone}">{escape(text)}</span>'


def facts(items: list[tuple[str, str, str]]) -> str:
    """A grid of (name, value, small print), all plain text."""
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(more)}</small>' if more else ''}</dd></div>"
        for name, value, more in items
    )
    return f'<dl class="facts">{"".join(cells)}</dl>'


def table(columns: list[tuple[str, bool]], rows: list[tuple[str, list[str]]]) -> str:
    """columns: (heading, is a number). rows: (class of the row: "hit", "note", "pick" or "", plain text cells)."""
    head = "".join(f"<th{' class=n' if right else ''}>{escape(name)}</th>" for name, right in columns)
    body = "".join(
        f'<tr class="{kind}">'
        + "".join(
            f"<td{' class=n' if right else ''}>{escape(cell)}</td>"
            for cell, (_, right) in zip(cells, columns, strict=True)
        )
        + "</tr>"
        for kind, cells in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
