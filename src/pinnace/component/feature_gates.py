"""Feature gates: upstream's switches, on or off by stage, changed by `--feature-gates A=true,B=false`.

Only gates whose behaviour exists here are known; a switch that changes nothing would be a lie, so an unknown name is an error.
Gates that upstream has locked to their default cannot be changed.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct


class Stage(StrEnum):
    """Maturity, as upstream's release notes print it."""

    ALPHA = "ALPHA"
    BETA = "BETA"
    GA = ""
    DEPRECATED = "DEPRECATED"


class Gate(Struct, frozen=True):
    """One switch: its name, default and stage; a locked one keeps its default."""

    name: str
    default: bool
    stage: Stage
    locked: bool = False


class FeatureGateError(ValueError):
    """Raised for a gate that is unknown, locked or not given as a boolean; the text is fit for a user."""


class FeatureGates:
    """The gates of a process, immutable once made."""

    def __init__(self, gates: Iterable[Gate], changed: Mapping[str, bool] | None = None) -> None:
        """Take the defaults and apply `changed`.

        Raises:
            FeatureGateError: a name in `changed` is unknown or locked.
        """
        self._gates = {gate.name: gate for gate in gates}
        self._changed = dict(changed or {})
        for name, value in self._changed.items():
            gate = self._gates.get(name)
            if gate is None:
                raise FeatureGateError(f"unrecognized feature gate: {name}")
            if gate.locked and value != gate.default:
                raise FeatureGateError(
                    f"cannot set feature gate {name} to {_text(value)}, feature is locked to {_text(gate.default)}"
                )

    def enabled(self, name: str) -> bool:
        """Tell whether a gate is on.

        Raises:
            KeyError: no such gate; that is a mistake in the program, not of a user.
        """
        gate = self._gates[name]
        return self._changed.get(name, gate.default)

    def known(self) -> tuple[Gate, ...]:
        """Return all gates by name, for help texts and metrics."""
        return tuple(self._gates[name] for name in sorted(self._gates))


def parse_feature_gates(text: str) -> dict[str, bool]:
    """Read `A=true,B=false`.

    Raises:
        FeatureGateError: a part is not `name=boolean`.
    """
    changed: dict[str, bool] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise FeatureGateError(f"missing bool value for {name}")
        if value.strip().lower() not in {"true", "false"}:
            raise FeatureGateError(f"invalid value of {name.strip()}: {value.strip()}, err: a boolean is needed")
        changed[name.strip()] = value.strip().lower() == "true"
    return changed


def _text(value: bool) -> str:  # noqa: FBT001
    return "true" if value else "false"
