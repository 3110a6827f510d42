"""How a check says what is wrong with a pod, in upstream's words.

Upstream: `staging/src/k8s.io/pod-security-admission/policy/{checks,helpers,visitor}.go`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from pinnace.api.core_v1 import Container, EphemeralContainer, PodSpec
from pinnace.machinery.field import go_quoted

AnyContainer = Container | EphemeralContainer
# A check's function: given the spec and the annotations of a pod, what breaks the rule.
Rule = Callable[[PodSpec, Mapping[str, str]], "Violation | None"]


class Violation(Struct, frozen=True):
    """One broken rule: which, and where."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


class Check(Struct, frozen=True, kw_only=True):
    """A rule through the versions: each function holds from its minor version on, until the next one's.

    A check that holds beside one which it `overrides` stands in for it, as it asks for more.
    """

    name: str
    versions: tuple[tuple[int, Rule], ...]
    overrides: str = ""

    def rule(self, minor: int) -> Rule | None:
        """Return the function that holds in a version, None before the check came."""
        held = None
        for since, rule in self.versions:
            if since <= minor:
                held = rule
        return held


def containers_of(spec: PodSpec) -> Iterator[AnyContainer]:
    """Yield every container of a pod, of all three kinds."""
    yield from spec.init_containers
    yield from spec.containers
    yield from spec.ephemeral_containers


def quoted(names: Iterable[str]) -> str:
    """Return names as a list in a message."""
    return ", ".join(go_quoted(name) for name in names)


def plural(count: int, one: str, many: str = "") -> str:
    """Return a word as its number wants it."""
    return one if count == 1 else many or one + "s"


def named(containers: Iterable[str]) -> str:
    """Return "container "a"", or "containers "a", "b""."""
    names = list(containers)
    return f"{plural(len(names), 'container')} {quoted(names)}"


def setters(containers: list[str], *, pod: bool) -> str:
    """Return who set something: the pod, some of its containers, or both."""
    parts = ["pod"] if pod else []
    return " and ".join([*parts, named(containers)] if containers else parts)
