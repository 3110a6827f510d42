"""Figures and their goals, as a table for people and a line of JSON for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured thing; `goal` is the most it may be, or the least when `more_is_better`; None where there is none."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal


def median(values: Sequence[float]) -> float:
    """Return the middle one."""
    return sorted(values)[len(values) // 2]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def show(figures: Sequence[Figure]) -> None:
    """Print everything."""
    width = max(len(figure.name) for figure in figures)
    print(f"{'figure':<{width}}  {'value':>10} {'unit':<6} {'goal':>9}  ")
    for figure in figures:
        bound = "≥" if figure.more_is_better else "≤"
        goal = f"{bound} {figure.goal:g}" if figure.goal is not None else ""
        sign = {True: "✓", False: "✗", None: " "}[figure.is_met]
        print(f"{figure.name:<{width}}  {figure.value:>10.3f} {figure.unit:<6} {goal:>9} {sign} {figure.note}".rstrip())
    print(json.dumps({"figures": [{**asdict(figure), "is_met": figure.is_met} for figure in figures]}))
