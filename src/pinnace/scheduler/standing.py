"""Which pods stand on which nodes, as far as other pods' selectors look: their namespace, labels and affinity, and whether they are leaving.

Pods that look alike count as one kind, as the replicas of a workload do, so that a selector is matched once per kind and not once per
pod. Counts come as vectors over the rows of the `NodeTable`.
Invariant: a kind's count on a row is the number of `add` less that of `remove`; kinds without pods are forgotten.
Upstream: pkg/scheduler/framework/types.go NodeInfo.Pods, PodsWithAffinity, PodsWithRequiredAntiAffinity.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from pinnace.api import codec, core_v1
from pinnace.machinery.selectors import LabelSelector
from pinnace.scheduler.affinity_terms import PodTerms, pod_terms

Counts = npt.NDArray[np.int64]


class Standing(Struct, frozen=True):
    """What others look at in a pod; pods of equal standing are one kind. `affinity` is the encoding of what it says of other pods."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    is_leaving: bool
    affinity: bytes = b""


class Kind(Struct):
    """Pods of one standing: how many stand on each row."""

    namespace: str
    labels: Mapping[str, str]
    is_leaving: bool
    terms: PodTerms
    rows: dict[int, int] = field(default_factory=dict)


class PodKinds:
    """The kinds of all placed pods, and the labels of namespaces."""

    def __init__(self) -> None:
        self._kinds: dict[Standing, Kind] = {}
        self._by_namespace: dict[str, dict[Standing, Kind]] = {}
        self._with_terms: dict[Standing, Kind] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}

    def add(self, row: int, standing: Standing) -> None:
        """Count a pod on a row."""
        kind = self._kinds.get(standing)
        if kind is None:
            terms = pod_terms(standing.namespace, _affinity(standing))
            kind = Kind(standing.namespace, dict(standing.labels), standing.is_leaving, terms)
            self._kinds[standing] = kind
            self._by_namespace.setdefault(standing.namespace, {})[standing] = kind
            if standing.affinity:
                self._with_terms[standing] = kind
        kind.rows[row] = kind.rows.get(row, 0) + 1

    def remove(self, row: int, standing: Standing) -> None:
        """Take back what `add` counted."""
        kind = self._kinds[standing]
        kind.rows[row] -= 1
        if kind.rows[row]:
            return
        del kind.rows[row]
        if not kind.rows:
            del self._kinds[standing]
            of_namespace = self._by_namespace[standing.namespace]
            del of_namespace[standing]
            if not of_namespace:
                del self._by_namespace[standing.namespace]
            self._with_terms.pop(standing, None)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """Take over the labels of a namespace; None when it has gone."""
        if labels is None:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = labels

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        """Return the labels of a namespace, none when it is not known."""
        return self._namespaces.get(name, {})

    def staying(self, namespace: str, selector: LabelSelector, size: int) -> Counts:
        """Count, by row, the pods of a namespace that a selector picks and that are not on their way out."""
        kinds = self._by_namespace.get(namespace, {}).values()
        return totals((kind for kind in kinds if not kind.is_leaving and selector.matches(kind.labels)), size)

    def matching(self, accept: Callable[[Kind], bool], size: int) -> Counts:
        """Count, by row, the pods of all kinds that are accepted."""
        return totals(filter(accept, self._kinds.values()), size)

    def with_terms(self) -> Iterator[Kind]:
        """Yield the kinds that say something of other pods."""
        yield from self._with_terms.values()


def totals(kinds: Iterable[Kind], size: int) -> Counts:
    """Return how many pods of these kinds stand on each row."""
    found = np.zeros(size, dtype=np.int64)
    for kind in kinds:
        for row, count in kind.rows.items():
            found[row] += count
    return found


def standing_of(pod: core_v1.Pod) -> Standing:
    """Return what others look at in a pod."""
    affinity, said = pod.spec.affinity, b""
    if affinity is not None and (affinity.pod_affinity is not None or affinity.pod_anti_affinity is not None):
        said = codec.encode(affinity)
    metadata = pod.metadata
    return Standing(
        metadata.namespace, tuple(sorted(metadata.labels.items())), metadata.deletion_timestamp is not None, said
    )


def _affinity(standing: Standing) -> core_v1.Affinity | None:
    return codec.decode(core_v1.Affinity, standing.affinity) if standing.affinity else None
