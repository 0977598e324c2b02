"""The HTML of the page: escaped text, tables, figures, the style sheet."""

from ssljax.report.literal import as_html as text

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1.2rem 4rem; background: #fff; color: #1c1c1c;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .5rem; border-top: 1px solid #d5d5d5; }
h3 { font-size: 1.02rem; margin: 1.4rem 0 .3rem; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: break-word; }
a { color: #00558b; }
nav { font-size: .88rem; margin: 1rem 0; } nav a { margin-right: .9rem; white-space: nowrap; }
.meta { color: #555; font-size: .9rem; }
.lede { font-size: 1.13rem; border-left: 4px solid #0072b2; padding: .3rem 0 .3rem .9rem; margin: 1rem 0; }
.scroll { overflow-x: auto; margin: .4rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; line-height: 1.35; }
body { counter-reset: table figure; }
thead th { border-top: 1.5px solid #222; border-bottom: 1px solid #222; vertical-align: bottom; }
tbody tr:last-child > * { border-bottom: 1.5px solid #222; }
th, td { padding: .25rem .6rem; text-align: right; font-weight: 400; white-space: nowrap; }
th:first-child, td:first-child, .left { text-align: left; }
th:first-child, td:first-child { padding-left: .2rem; }
thead th { font-weight: 600; white-space: normal; }
td.wide { white-space: normal; min-width: 9rem; max-width: 34rem; overflow-wrap: anywhere; }
tr.best > * { font-weight: 650; background: #eef5fa; }
.figures { display: flex; flex-wrap: wrap; gap: .6rem 1.6rem; align-items: flex-start; }
figure { margin: .8rem 0; max-width: 100%; break-inside: avoid; }
figure > img { max-width: 100%; height: auto; display: block; }
.three { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); }
.figures > figure { flex: 0 1 auto; }
figcaption { font-size: .86rem; color: #333; margin-top: .35rem; max-width: 44rem; }
.figures figcaption { max-width: 29rem; }
figcaption::before { counter-increment: figure; content: "Figure " counter(figure) ". "; font-weight: 600; }
.grid figcaption { margin: 0; max-width: 46rem; }
.grid figcaption::before { counter-increment: table; content: "Table " counter(table) ". "; }
details figcaption::before { counter-increment: none !important; content: none !important; }
.strip { display: flex; flex-wrap: wrap; gap: .35rem; align-items: flex-start; margin: .25rem 0; }
.tile { width: 74px; font-size: .68rem; line-height: 1.15; text-align: center; color: #333;
  overflow-wrap: anywhere; }
.tile img { width: 64px; height: 64px; object-fit: contain; display: block; margin: 0 auto 2px;
  image-rendering: pixelated; border: 1px solid #ccc; background: #fff; }
.tile.right img { border: 3px solid #0072b2; } .tile.wrong img { border: 3px dashed #d55e00; }
.tile.query img { border: 3px solid #222; }
.row { padding: .3rem 0; border-bottom: 1px solid #eee; break-inside: avoid; }
table.pictures th { text-align: left; max-width: 8rem; white-space: normal; font-weight: 600; }
table.pictures td { padding: .15rem .25rem; border: 0; }
table.pictures img, .sheet img { width: 88px; height: 88px; object-fit: contain; display: block; margin: auto;
  image-rendering: pixelated; border: 1px solid #ccc; }
.moment { display: flex; align-items: center; gap: .8rem; margin: .2rem 0; break-inside: avoid; }
.moment span { flex: 0 0 6.2rem; text-align: right; font-size: .8rem; color: #333; }
.moment img { min-width: 0; height: auto; image-rendering: pixelated; }
.pixels { image-rendering: pixelated; max-width: 100%; }
@media print, (prefers-reduced-motion: reduce) { .motion { display: none; } }
details { margin: .7rem 0; } summary { cursor: pointer; color: #00558b; }
pre { font-size: .8rem; line-height: 1.4; background: #f6f6f6; padding: .7rem; overflow-x: auto; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
.names { columns: 12rem; font-size: .8rem; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } nav { display: none; }
  h2, h3, .grid figcaption { break-after: avoid; } h2 { margin-top: 1.4rem; }
  .figures:not(.three) > figure:not(.grid) { max-width: 48%; }
  .three { grid-template-columns: repeat(3, 1fr); } .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; display: block; } }
"""


def grid(header, rows, caption='', *, best=(), wide=()):
    """An HTML table of plain strings; rows listed in `best` stand out, columns in `wide` may wrap.

    Columns of numbers stand on the right, columns with words on the left. An empty column is left out.
    """
    if not rows:
        return ''
    kept = [i for i in range(len(header)) if i == 0 or any(row[i] not in ('', '–') for row in rows)]
    header, rows = [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
    wide = {index for index, i in enumerate(kept) if i in wide}
    words = {i for i in range(len(header)) if i in wide or not all(numeric(row[i]) for row in rows)}
    classes = [f' class="{"left" * (i in words)}{" wide" * (i in wide)}"' for i in range(len(header))]
    head = ''.join(f'<th scope="col"{kind}>{text(cell)}</th>' for cell, kind in zip(header, classes))
    lines = []
    for index, row in enumerate(rows):
        cells = ''.join(f'<td{kind}>{text(cell)}</td>' for cell, kind in zip(row, classes))
        lines.append(f'<tr{" class=best" if index in best else ""}>{cells}</tr>')
    title = f'<figcaption>{text(caption)}</figcaption>' if caption else ''
    inside = f'<thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
    return f'<figure class="grid">{title}<div class="scroll"><table>{inside}</table></div></figure>'


def numeric(cell):
    """Whether a cell reads as a number: its first sign is a digit, +, −, <, > or the dash of a gap."""
    return cell[:1].isdigit() or cell[:1] in ('+', '−', '–', '<', '>')


def figure(image, caption):
    """An <img> (or other ready HTML) with a numbered caption; '' for no image."""
    return f'<figure>{image}<figcaption>{text(caption)}</figcaption></figure>' if image else ''


def beside(*figures, three=False):
    """Figures next to each other where the screen is wide enough; small ones in columns of which three fit."""
    figures = [entry for entry in figures if entry]
    return f'<div class="figures{" three" * three}">{"".join(figures)}</div>' if figures else ''


def folded(title, inside):
    return f'<details><summary>{text(title)}</summary>{inside}</details>' if inside else ''


def paragraph(*sentences):
    sentences = [sentence for sentence in sentences if sentence]
    return f'<p>{text(" ".join(sentences))}</p>' if sentences else ''


def section(title, *parts):
    """A section with an anchor; '' where all its parts are empty."""
    inside = ''.join(part for part in parts if part)
    return f'<section id="{anchor(title)}"><h2>{text(title)}</h2>{inside}</section>' if inside else ''


def anchor(title):
    return text(title.lower().replace(' ', '-'))
