"""What a namespace asks of its pods: a level and a version for each of three modes, as its labels say.

A label that cannot be read counts as the strictest for enforcement, and as none for audit and warnings. Upstream:
`staging/src/k8s.io/pod-security-admission/api`.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from pinnace.machinery.field import FieldError, Path, invalid

PREFIX = "pod-security.kubernetes.io/"
# The version that stands for the newest rules; sorts behind every minor version.
LATEST = 1_000_000
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,5})")
_LABELS = Path("metadata", "labels")
_BAD_LEVEL = "must be one of privileged, baseline, restricted"
_BAD_VERSION = 'must be "latest" or "v1.x"'


class Level(StrEnum):
    """How much a pod may do, from everything to what an ordinary application needs."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"

    @property
    def strictness(self) -> int:
        return list(Level).index(self)


class LevelVersion(Struct, frozen=True):
    """A level as it was in a minor version of Kubernetes."""

    level: Level = Level.PRIVILEGED
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"


class Policy(Struct, frozen=True):
    """What is asked in each mode."""

    enforce: LevelVersion = LevelVersion()
    audit: LevelVersion = LevelVersion()
    warn: LevelVersion = LevelVersion()


class Read(Struct, frozen=True):
    """A policy as labels give it, and what is wrong with them."""

    policy: Policy
    errors: tuple[FieldError, ...] = ()


def of_labels(labels: Mapping[str, str], default: Policy) -> Read:
    """Return the policy of a namespace's labels; what they do not say the default says."""
    errors: list[FieldError] = []
    if not any(key.startswith(PREFIX) for key in labels):
        return Read(default)
    policy = Policy(
        enforce=_mode(labels, "enforce", default.enforce, Level.RESTRICTED, errors),
        audit=_mode(labels, "audit", default.audit, Level.PRIVILEGED, errors),
        warn=_mode(labels, "warn", default.warn, Level.PRIVILEGED, errors),
    )
    return Read(policy, tuple(errors))


def _mode(
    labels: Mapping[str, str], mode: str, default: LevelVersion, otherwise: Level, errors: list[FieldError]
) -> LevelVersion:
    result = default
    level = labels.get(PREFIX + mode)
    if level is not None:
        if level in set(Level):
            result = replace(result, level=Level(level))
        else:
            result = replace(result, level=otherwise)
            errors.append(invalid(_LABELS.key(PREFIX + mode), level, _BAD_LEVEL))
    version = labels.get(f"{PREFIX}{mode}-version")
    if version is not None:
        match = _VERSION.fullmatch(version)
        result = replace(result, minor=int(match[1]) if match else LATEST)
        if match is None and version != "latest":
            errors.append(invalid(_LABELS.key(f"{PREFIX}{mode}-version"), version, _BAD_VERSION))
    return result
