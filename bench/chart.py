"""The rates as a picture, docs/benchmarks.svg: one bar for each kind of request, and its least and most as a line.

Plain SVG, light or dark as the reader's machine is; a screen reader hears the title and every bar as text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from figures import Comparison, Figure, Row, rounded
from report import Results

WIDTH, LEFT, RIGHT = 980, 430, 90
BAR, GAP, HEAD, TITLE = 14, 8, 46, 44
STYLE = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1c2128 }
.title { font-size: 16px; font-weight: 600 } .head { font-weight: 600 } .quiet { fill: #59636e }
.bar { fill: #3d6fb4 } .beside { fill: #a9b4c2 } .span { stroke: #1c2128; stroke-width: 1.5 } .grid { stroke: #e2e6ea }
.ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ec } .quiet { fill: #9aa4af } .bar { fill: #6b9bdb } .beside { fill: #56616e }
.span { stroke: #e6e9ec } .grid { stroke: #2b333c } .ground { fill: #14181d }
}"""


def svg(results: Results) -> str:
    """Groups one below the other, each with a scale of its own."""
    parts, y, told = [], TITLE, []
    for title, figures, beside in _groups(results):
        parts.append(_group(title, figures, beside, y))
        told += [f"{one.name}: {rounded(one.median)} {one.unit}" for one in figures]
        y += HEAD + len(figures) * (BAR + GAP) + GAP
    told_at = f"{results.machine['CPU']}, Python {results.machine['Python']}, {results.machine['date']}"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 24}" role="img" '
        'aria-labelledby="title description">',
        "<title id=\"title\">Doorward's speed on one core</title>",
        f'<desc id="description">{escape("; ".join(told))}.</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{y + 24}"/>',
        '<text class="title" x="16" y="28">Speed on one core: median of all rounds, and from least to most</text>',
        *parts,
        f'<text class="quiet" x="16" y="{y + 10}">{escape(told_at)}</text>',
        "</svg>\n",
    ])  # fmt: skip


def _groups(results: Results) -> list[tuple[str, list[Figure], set[str]]]:
    """The title of each, its bars, and the names of those that are only there to compare with."""
    found = []
    for section in results.sections.values():
        rows = [one for one in section.found if isinstance(one, Row)]
        if rows:
            beside = {one.rate.name for one in rows if one.share is not None and set(one.share.samples) == {100.0}}
            found.append((f"{section.title}, requests a second", [one.rate for one in rows], beside))
        pairs = [one for one in section.found if isinstance(one, Comparison)]
        if pairs:
            beside_of = pairs[0].of
            bars = [
                Figure(one.ours.name, "x", one.share.samples) if one.share.unit == "x" else one.share for one in pairs
            ]
            unit = "times" if bars[0].unit == "x" else "percent"
            found.append((f"{section.title}, {unit} of the rate of {beside_of}", bars, set()))
    return found


def _group(title: str, figures: Sequence[Figure], beside: set[str], y: float) -> str:
    top = max(max(one.samples) for one in figures)
    step = _step(top)
    ticks = [step * number for number in range(math.floor(top / step) + 1)]
    wide = (WIDTH - LEFT - RIGHT) / top
    low = y + HEAD + len(figures) * (BAR + GAP) - GAP / 2
    lines = [f'<text class="head" x="16" y="{y + 14}">{escape(title.replace("`", ""))}</text>']
    for tick in ticks:
        x = LEFT + tick * wide
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{y + HEAD - 6}" y2="{low:.1f}"/>')
        shown = "0" if not tick else f"{tick:,.0f}" if step >= 1 else f"{tick:g}"
        lines.append(f'<text class="quiet" x="{x:.1f}" y="{y + HEAD - 10}" text-anchor="middle">{shown}</text>')
    for number, one in enumerate(figures):
        lines += _bar(one, one.name in beside, y + HEAD + number * (BAR + GAP), wide)
    return "\n".join(lines)


def _bar(one: Figure, is_beside: bool, y: float, wide: float) -> list[str]:
    kind, middle, end = ("beside" if is_beside else "bar"), y + BAR / 2, LEFT + max(one.samples) * wide
    return [
        f'<text x="{LEFT - 10}" y="{y + 11}" text-anchor="end">{escape(one.name)}</text>',
        f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{one.median * wide:.1f}" height="{BAR}" rx="2"/>',
        f'<line class="span" x1="{LEFT + min(one.samples) * wide:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text x="{end + 8:.1f}" y="{y + 11}">{rounded(one.median)}</text>',
    ]


def _step(top: float) -> float:
    """A round number, of which some four to eight fill the scale."""
    power: float = 10.0 ** math.floor(math.log10(top / 4))
    return next(power * factor for factor in (1, 2, 5, 10) if top / (power * factor) <= 8)
