"""Drawings as SVG: boxes with lines of text, and lines between them.

Text is monospaced, so that its width is known without a browser; colours follow the reader's light
or dark scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

SIZE, LINE = 12, 17  # of text: height of the font and of a line
CHARACTER = 0.615 * SIZE  # the widest of common monospaced fonts has 0.602
PAD = 9
STYLE = """\
svg { background: #ffffff; }
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1f2328; }
.bold { font-weight: 700; }
.dim { fill: #57606a; }
rect { fill: #f6f8fa; stroke: #8c959f; }
line { stroke: #57606a; stroke-width: 1.5; }
circle { fill: #57606a; }
.back { fill: #ffffff; stroke: none; }
.c0 rect { fill: #ddf4ff; stroke: #0969da; } .c1 rect { fill: #dafbe1; stroke: #1a7f37; }
.c2 rect { fill: #fff8c5; stroke: #9a6700; } .c3 rect { fill: #ffeff7; stroke: #bf3989; }
.c4 rect { fill: #fbefff; stroke: #8250df; } .c5 rect { fill: #fff1e5; stroke: #bc4c00; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; }
text { fill: #e6edf3; }
.dim { fill: #9da7b3; }
rect { fill: #161b22; stroke: #6e7681; }
line { stroke: #9da7b3; }
circle { fill: #9da7b3; }
.back { fill: #0d1117; }
.c0 rect { fill: #0c2d6b; stroke: #58a6ff; } .c1 rect { fill: #033a16; stroke: #3fb950; }
.c2 rect { fill: #4b2900; stroke: #d29922; } .c3 rect { fill: #5e103e; stroke: #f778ba; }
.c4 rect { fill: #3c1e70; stroke: #bc8cff; } .c5 rect { fill: #5a1e02; stroke: #ffa657; }
}
"""
COLOURS = 6


def width(lines: Sequence[str]) -> float:
    """The width of a box with these lines."""
    return max((len(line) for line in lines), default=0) * CHARACTER + 2 * PAD


def height(lines: Sequence[str]) -> float:
    """The height of a box with these lines."""
    return len(lines) * LINE + 2 * PAD - (LINE - SIZE)


@dataclass
class Box:
    """A box with its position and lines of text; the first line is its title."""

    x: float
    y: float
    w: float
    h: float
    lines: Sequence[str]
    colour: int | None = None

    @property
    def middle(self) -> float:
        """The vertical centre."""
        return self.y + self.h / 2

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.h


@dataclass
class Drawing:
    """Boxes, and lines with a dot at their ends."""

    title: str
    description: str
    boxes: list[Box] = field(default_factory=list)
    lines: list[tuple[float, float, float, float]] = field(default_factory=list)
    dots: list[tuple[float, float]] = field(default_factory=list)

    def box(
        self,
        x: float,
        y: float,
        lines: Sequence[str],
        *,
        w: float = 0,
        h: float = 0,
        colour: int | None = None,
    ) -> Box:
        """Add a box, at least as large as its text."""
        made = Box(x, y, max(w, width(lines)), max(h, height(lines)), lines, colour)
        self.boxes.append(made)
        return made

    def line(self, *points: tuple[float, float], dot: bool = False) -> None:
        """Add a line through some points."""
        for (x1, y1), (x2, y2) in pairwise(points):
            self.lines.append((x1, y1, x2, y2))
        if dot:
            self.dots.append(points[-1])

    def svg(self) -> str:
        """The whole drawing."""
        ends = [(b.right, b.bottom) for b in self.boxes]
        ends += [(max(x1, x2), max(y1, y2)) for x1, y1, x2, y2 in self.lines]
        w, h = (round(max(values) + 20) for values in zip(*ends, strict=True))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" '
            f'height="{h}" role="img" aria-labelledby="title description">',
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="description">{escape(self.description)}</desc>',
            f"<style>\n{STYLE}</style>",
            f'<rect class="back" width="{w}" height="{h}"/>',
        ]
        parts += [
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'
            for x1, y1, x2, y2 in self.lines
        ]
        for box in self.boxes:
            colour = "" if box.colour is None else f" c{box.colour % COLOURS}"
            parts.append(f'<g class="box{colour}">')
            parts.append(
                f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.w:g}" height="{box.h:g}" rx="5"/>'
            )
            for number, text in enumerate(box.lines):
                kind = ' class="bold"' if not number else ""
                y = box.y + PAD + SIZE - 2 + number * LINE
                parts.append(
                    f'<text x="{box.x + PAD:g}" y="{y:g}" xml:space="preserve"{kind}>'
                    f"{escape(text)}</text>"
                )
            parts.append("</g>")
        parts += [f'<circle cx="{x:g}" cy="{y:g}" r="4"/>' for x, y in self.dots]
        return "\n".join([*parts, "</svg>"]) + "\n"
