"""Stages: what becomes of pods that say nothing themselves, by rules over their namespace and labels. Pure.

    - match: {namespace: batch, labels: {app: report}}    # every part may be left out
      share: 0.1                                          # of those that match; without it, all
      set: {run-seconds: "5", exit-code: "1"}             # the annotations of `behaviour.py`, without their prefix

The first rule that matches, and whose share the pod falls into, holds; each start of a container is judged anew. In the manner of kwok's stages.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from pinnace.machinery.codec import yaml


class StageError(ValueError):
    """Rules that make no sense; the text says why."""


class Stage(Struct, frozen=True, kw_only=True):
    """One rule; an empty namespace is any."""

    namespace: str = ""
    labels: Mapping[str, str]
    share: float = 1.0
    settings: Mapping[str, str]

    def matches(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Tell whether it is about such a pod."""
        return self.namespace in {"", namespace} and self.labels.items() <= labels.items()


def parse(text: str) -> tuple[Stage, ...]:
    """Read rules.

    Raises:
        StageError: they make no sense.
    """
    try:
        tree = yaml.parse(text.encode()).tree
    except ValueError as error:
        raise StageError(f"the stages cannot be read: {error}") from error
    if not isinstance(tree, list):
        raise StageError("the stages are no list of rules")
    return tuple(_stage(number, rule) for number, rule in enumerate(tree, start=1))


def settings(
    stages: Iterable[Stage], namespace: str, labels: Mapping[str, str], draw: Callable[[], float]
) -> Mapping[str, str]:
    """Return what the rules say of a pod; `draw` gives a number from 0 to 1 for each that leaves something to chance."""
    for stage in stages:
        if stage.matches(namespace, labels) and (stage.share >= 1.0 or draw() < stage.share):
            return stage.settings
    return {}


def _stage(number: int, rule: Any) -> Stage:
    if not isinstance(rule, dict) or not rule.keys() <= {"match", "share", "set"}:
        raise StageError(f"stage {number} is no map of match, share and set")
    match, share = _map(rule, "match", number), rule.get("share", 1.0)
    if not match.keys() <= {"namespace", "labels"}:
        raise StageError(f"stage {number} matches by something else than namespace and labels")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise StageError(f"the share of stage {number} is no number from 0 to 1")
    return Stage(
        namespace=str(match.get("namespace", "")),
        labels=_texts(_map(match, "labels", number)),
        share=float(share),
        settings=_texts(_map(rule, "set", number)),
    )


def _map(holder: Mapping[str, Any], name: str, number: int) -> dict[str, Any]:
    value = holder.get(name) or {}
    if not isinstance(value, dict):
        raise StageError(f"{name} of stage {number} is no map")
    return value


def _texts(tree: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in tree.items()}
