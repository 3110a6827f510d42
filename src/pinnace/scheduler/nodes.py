"""The scheduler's picture of all nodes: one row a node, one column a fact, changed by deltas.

A row is reused after its node has gone; `alive` says which rows count. Columns are numpy arrays that grow by doubling. Labels
are stored as one column of value codes per key that any pod ever asked about, taints as one bool column per distinct taint, so
that a selector or a toleration is evaluated once per distinct value and not once per node.

Invariant: `requested` of a row is the sum over the pods that `add_pod` placed there and `remove_pod` did not take away.
Upstream: pkg/scheduler/framework/types.go NodeInfo, backend/cache/snapshot.go.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from pinnace.api import core_v1
from pinnace.api.pod_resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Amounts, amounts
from pinnace.scheduler.standing import Counts, PodKinds, Standing

FIRST_ROWS = 64
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - the wire's word for every address of the node
ABSENT = -1

HostPort = tuple[str, str, int]


class Taint(Struct, frozen=True):
    """A taint as far as tolerations look at it."""

    key: str
    value: str
    effect: str


class Demand(Struct, frozen=True):
    """What one pod takes from its node, and what other pods look at in it."""

    requests: Amounts
    scoring: Amounts
    ports: frozenset[HostPort]
    standing: Standing


class NodeTable:
    """Rows of nodes; one writer, the scheduler's cache, and readers within one uninterrupted cycle."""

    def __init__(self) -> None:
        self.size = FIRST_ROWS
        self.pods = PodKinds()
        self.alive: npt.NDArray[np.bool_] = np.zeros(self.size, dtype=np.bool_)
        self.unschedulable: npt.NDArray[np.bool_] = np.zeros(self.size, dtype=np.bool_)
        self._names: list[str] = [""] * self.size
        self._nodes: list[core_v1.Node | None] = [None] * self.size
        self._rows: dict[str, int] = {}
        self._free = list(range(self.size - 1, -1, -1))
        basics = (CPU, MEMORY, EPHEMERAL_STORAGE, PODS)
        self._allocatable = {name: np.zeros(self.size, dtype=np.int64) for name in basics}
        self._requested = {name: np.zeros(self.size, dtype=np.int64) for name in basics}
        self._scoring = {name: np.zeros(self.size, dtype=np.int64) for name in (CPU, MEMORY)}
        self._labels: dict[str, npt.NDArray[np.int32]] = {}
        self._label_values: dict[str, dict[str, int]] = {}
        self._taints: dict[Taint, npt.NDArray[np.bool_]] = {}
        self._ports: dict[tuple[str, int], dict[int, list[str]]] = {}
        self._images: dict[str, npt.NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def present(self) -> Iterator[tuple[int, core_v1.Node]]:
        """Yield (row, node) of every node there is, in order of rows."""
        for row in np.flatnonzero(self.alive):
            node = self._nodes[row]
            if node is not None:
                yield int(row), node

    def name(self, row: int) -> str:
        return self._names[row]

    def node(self, row: int) -> core_v1.Node | None:
        return self._nodes[row]

    def row(self, name: str) -> int | None:
        """Return the row of a node, None when there is no such node."""
        return self._rows.get(name)

    def allocatable(self, resource: str) -> npt.NDArray[np.int64]:
        """Return what each node has of a resource; zeros where it has none."""
        return self._column(self._allocatable, resource)

    def requested(self, resource: str) -> npt.NDArray[np.int64]:
        """Return what the pods of each node have asked for."""
        return self._column(self._requested, resource)

    def scoring(self, resource: str) -> npt.NDArray[np.int64]:
        """Return the requests with defaults for pods that named none; cpu and memory only."""
        return self._scoring[resource]

    def taints(self) -> Iterator[tuple[Taint, npt.NDArray[np.bool_]]]:
        """Yield each distinct taint with the rows that carry it."""
        yield from self._taints.items()

    def label_mask(self, key: str, accept: Callable[[str | None], bool]) -> npt.NDArray[np.bool_]:
        """Return the rows whose value of a label is accepted; None stands for a node without it."""
        codes = self._label_column(key)
        values = self._label_values[key]
        verdicts = np.zeros(len(values) + 1, dtype=np.bool_)
        for value, code in values.items():
            verdicts[code] = accept(value)
        verdicts[len(values)] = accept(None)  # index -1: the rows without the label
        return verdicts[codes]

    def has_label(self, key: str) -> npt.NDArray[np.bool_]:
        """Return the rows that carry a label, whatever its value."""
        present: npt.NDArray[np.bool_] = self._label_column(key) != ABSENT
        return present

    def domains(self, key: str, where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """Return the codes of the values that a label has on these rows, each once."""
        codes = self._label_column(key)
        return np.unique(codes[where & (codes != ABSENT)])

    def domain_totals(self, key: str, counts: Counts, where: npt.NDArray[np.bool_]) -> Counts:
        """Return the sum of the counts of these rows for each value of a label, by its code."""
        codes = self._label_column(key)
        counted = where & (codes != ABSENT)
        totals = np.zeros(len(self._label_values[key]), dtype=np.int64)
        np.add.at(totals, codes[counted], counts[counted])
        return totals

    def in_domain(self, key: str, counts: Counts, where: npt.NDArray[np.bool_]) -> Counts:
        """Return for each row the sum of the counts of those rows that have its value of a label; 0 for a row without one."""
        totals = np.append(self.domain_totals(key, counts, where), 0)  # index -1: the rows without the label
        found: Counts = totals[self._label_column(key)]
        return found

    def image_sizes(self, name: str) -> npt.NDArray[np.int64]:
        """Return the bytes of an image on each row that has it, 0 elsewhere."""
        sizes = self._images.get(name)
        if sizes is None:
            sizes = self._images[name] = np.zeros(self.size, dtype=np.int64)
            for row, node in self.present():
                sizes[row] = _image_size(node, name)
        return sizes

    def port_conflicts(self, wanted: frozenset[HostPort]) -> npt.NDArray[np.bool_]:
        """Return the rows where one of these host ports is taken; 0.0.0.0 clashes with every address."""
        mask = np.zeros(self.size, dtype=np.bool_)
        for address, protocol, port in wanted:
            for row, taken in self._ports.get((protocol, port), {}).items():
                if address in taken or (taken and (address == ANY_ADDRESS or ANY_ADDRESS in taken)):
                    mask[row] = True
        return mask

    def set_node(self, node: core_v1.Node) -> None:
        """Add a node or take over its new state; the pods on it stay."""
        name = node.metadata.name
        row = self._rows.get(name)
        if row is None:
            row = self._new_row(name)
        self.alive[row] = True
        self._nodes[row] = node
        self.unschedulable[row] = node.spec.unschedulable
        given = amounts(node.status.allocatable)
        for resource in given.keys() | self._allocatable.keys():
            self._column(self._allocatable, resource)[row] = given.get(resource, 0)
        for key in self._labels:
            self._set_label(row, key, node.metadata.labels.get(key))
        for image, sizes in self._images.items():
            sizes[row] = _image_size(node, image)
        self._set_taints(row, {Taint(taint.key, taint.value, taint.effect) for taint in node.spec.taints})

    def remove_node(self, name: str) -> None:
        """Forget a node; its row is reused once its last pod has gone."""
        row = self._rows.get(name)
        if row is None:
            return
        self.alive[row] = False
        self._nodes[row] = None
        self._set_taints(row, set())
        if not self._requested[PODS][row]:
            self._release_row(row)

    def add_pod(self, node_name: str, demand: Demand) -> None:
        """Count a pod on a node, which may not have been seen yet."""
        row = self._rows.get(node_name)
        if row is None:
            row = self._new_row(node_name)
        self._change(row, demand, 1)
        self.pods.add(row, demand.standing)
        for address, protocol, port in demand.ports:
            self._ports.setdefault((protocol, port), {}).setdefault(row, []).append(address)

    def remove_pod(self, node_name: str, demand: Demand) -> None:
        """Take back what `add_pod` counted."""
        row = self._rows[node_name]
        self._change(row, demand, -1)
        self.pods.remove(row, demand.standing)
        for address, protocol, port in demand.ports:
            rows = self._ports[protocol, port]
            rows[row].remove(address)
            if not rows[row]:
                del rows[row]
        if not self.alive[row] and not self._requested[PODS][row]:
            self._release_row(row)

    def _change(self, row: int, demand: Demand, sign: int) -> None:
        for resource, value in demand.requests.items():
            self._column(self._requested, resource)[row] += sign * value
        self._requested[PODS][row] += sign
        for resource, column in self._scoring.items():
            column[row] += sign * demand.scoring.get(resource, 0)

    def _new_row(self, name: str) -> int:
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._rows[name] = row
        self._names[row] = name
        return row

    def _release_row(self, row: int) -> None:
        del self._rows[self._names[row]]
        self._names[row] = ""
        for columns in (self._allocatable, self._requested, self._scoring):
            for column in columns.values():
                column[row] = 0
        for labels in self._labels.values():
            labels[row] = ABSENT
        for sizes in self._images.values():
            sizes[row] = 0
        self._free.append(row)

    def _grow(self) -> None:
        more = self.size
        self._free.extend(range(self.size + more - 1, self.size - 1, -1))
        self.size += more
        self.alive = _extended(self.alive, more, fill=False)
        self.unschedulable = _extended(self.unschedulable, more, fill=False)
        self._names.extend([""] * more)
        self._nodes.extend([None] * more)
        for columns in (self._allocatable, self._requested, self._scoring, self._images):
            columns.update({name: _extended(column, more, fill=0) for name, column in columns.items()})
        self._labels.update({key: _extended(codes, more, fill=ABSENT) for key, codes in self._labels.items()})
        self._taints.update({taint: _extended(rows, more, fill=False) for taint, rows in self._taints.items()})

    def _column(self, columns: dict[str, npt.NDArray[np.int64]], resource: str) -> npt.NDArray[np.int64]:
        column = columns.get(resource)
        if column is None:
            column = columns[resource] = np.zeros(self.size, dtype=np.int64)
        return column

    def _label_column(self, key: str) -> npt.NDArray[np.int32]:
        codes = self._labels.get(key)
        if codes is None:
            codes = self._labels[key] = np.full(self.size, ABSENT, dtype=np.int32)
            self._label_values[key] = {}
            for row, node in self.present():
                self._set_label(row, key, node.metadata.labels.get(key))
        return codes

    def _set_label(self, row: int, key: str, value: str | None) -> None:
        values = self._label_values[key]
        self._labels[key][row] = ABSENT if value is None else values.setdefault(value, len(values))

    def _set_taints(self, row: int, taints: set[Taint]) -> None:
        for taint in taints - self._taints.keys():
            self._taints[taint] = np.zeros(self.size, dtype=np.bool_)
        for taint, rows in list(self._taints.items()):
            rows[row] = taint in taints
            if not rows.any():
                del self._taints[taint]


_Scalar = TypeVar("_Scalar", bound=np.generic)


def _extended(column: npt.NDArray[_Scalar], more: int, *, fill: object) -> npt.NDArray[_Scalar]:
    return np.concatenate([column, np.full(more, fill, dtype=column.dtype)])


def _image_size(node: core_v1.Node, name: str) -> int:
    return next((image.size_bytes for image in node.status.images if name in (image.names or ())), 0)


def host_ports(pod: core_v1.Pod) -> frozenset[HostPort]:
    """Return the (address, protocol, port) triples that the pod takes on its node: containers and sidecars."""
    containers = [*pod.spec.containers, *(item for item in pod.spec.init_containers if item.restart_policy == "Always")]
    return frozenset(
        (port.host_ip or ANY_ADDRESS, port.protocol or "TCP", port.host_port)
        for container in containers
        for port in container.ports
        if port.host_port
    )
