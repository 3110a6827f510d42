"""Small plots as SVG, by hand: a panel a quantity, beside one another, each with its own scale from zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 240, 180, 60, 44, 70
_STYLE = "text{font:12px sans-serif;fill:#333}.axis{stroke:#999}.line{stroke:#326ce5;fill:none;stroke-width:2}.dot{fill:#326ce5}"


@dataclass(frozen=True)
class Line:
    """Points, in rising order of `across`."""

    across: Sequence[float]
    up: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """One quantity."""

    title: str
    line: Line


def draw(below: str, panels: Sequence[Panel], caption: str) -> str:
    """Return an SVG document; `below` names what goes across, the caption when and where it was measured."""
    width = _LEFT + len(panels) * (_WIDTH + _GAP)
    height = _TOP + _HEIGHT + 76
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, below, _LEFT + number * (_WIDTH + _GAP))
    parts.append(f'<text x="{_LEFT}" y="{height - 12}">{escape(caption)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, below: str, left: float) -> list[str]:
    line = panel.line
    most_across, most_up = max(line.across), max(*line.up, 1e-9) * 1.1
    bottom = _TOP + _HEIGHT
    points = [
        (left + x / most_across * _WIDTH, bottom - y / most_up * _HEIGHT)
        for x, y in zip(line.across, line.up, strict=True)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [
        f'<text x="{left}" y="{_TOP - 18}">{escape(panel.title)}</text>',
        f'<path class="axis" d="M{left} {_TOP}V{bottom}H{left + _WIDTH}" fill="none"/>',
        f'<polyline class="line" points="{path}"/>',
        f'<text x="{left + _WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">{escape(below)}</text>',
    ]
    for (x, y), across, up in zip(points, line.across, line.up, strict=True):
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
        parts.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{up:.3g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{across:g}</text>')
    return parts
