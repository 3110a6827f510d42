"""What simulated nodes are made from: a manifest, labels, amounts. Pure.

A template is a Node manifest whose name is left out: its labels, annotations, taints and `status.capacity` are those of every node made from
it. Options on the command line say more, and win.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from pinnace.api import codec, core_v1, meta_v1
from pinnace.cluster.simulated_node import SIMULATED_LABEL, STAGES_ANNOTATION, simulation
from pinnace.kubelet.simulated import Simulation, StageError
from pinnace.machinery import quantity
from pinnace.machinery.codec import yaml


class TemplateError(ValueError):
    """A template that no node can be made from; the text says what is wrong with it."""


def template(manifest: bytes = b"", labels: str = "", capacity: str = "", stages: str = "") -> core_v1.Node:
    """Return the Node that others are made from: of a manifest, labels `zone=a`, amounts `cpu=4,memory=8Gi`, and rules for its pods.

    Raises:
        TemplateError: one of them makes no sense.
    """
    node = _read(manifest) if manifest else core_v1.Node()
    amounts = {**node.status.capacity, **dict(_pairs(capacity))}
    for name, amount in amounts.items():
        _check_amount(name, amount)
    metadata = meta_v1.ObjectMeta(
        labels={**_platform(node), **node.metadata.labels, **dict(_pairs(labels)), SIMULATED_LABEL: "true"},
        annotations={**node.metadata.annotations, **({STAGES_ANNOTATION: stages} if stages else {})},
    )
    made = core_v1.Node(
        metadata=metadata,
        spec=core_v1.NodeSpec(taints=node.spec.taints, unschedulable=node.spec.unschedulable),
        status=core_v1.NodeStatus(capacity=amounts),
    )
    try:
        simulation(made)
    except StageError as error:
        raise TemplateError(str(error)) from error
    return made


def made_from(node: core_v1.Node, name: str) -> core_v1.Node:
    """Return the Node of this name that a template gives."""
    labels = {"kubernetes.io/hostname": name, **node.metadata.labels}
    return replace(node, metadata=replace(node.metadata, name=name, labels=labels))


def free_names(prefix: str, taken: Iterable[str]) -> Iterator[str]:
    """Give names `<prefix>-<number>` that nobody has, without end."""
    used = frozenset(taken)
    number = 0
    while True:
        number += 1
        if (name := f"{prefix}-{number}") not in used:
            yield name


def _read(manifest: bytes) -> core_v1.Node:
    try:
        tree = yaml.parse(manifest).tree
    except ValueError as error:
        raise TemplateError(f"the template cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise TemplateError("the template is no Node: it is to be a map of fields")
    if (kind := tree.get("kind", "Node")) != "Node":
        raise TemplateError(f"the template is no Node but a {kind}")
    try:
        return codec.convert(core_v1.Node, tree)
    except msgspec.ValidationError as error:
        raise TemplateError(f"the template is no Node: {error}") from error


def _platform(node: core_v1.Node) -> dict[str, str]:
    """Return the labels that the agent would add, so that it need not."""
    names = {"os": "linux", "arch": node.metadata.labels.get("kubernetes.io/arch", Simulation().architecture)}
    return {f"{domain}kubernetes.io/{name}": value for name, value in names.items() for domain in ("", "beta.")}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for word in filter(None, text.split(",")):
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise TemplateError(f"{word!r} is no key=value")
        yield key, value


def _check_amount(name: str, amount: str) -> None:
    try:
        fits = quantity.parse(amount).value() >= 0
    except ValueError:
        fits = False
    if not fits:
        raise TemplateError(f"{amount!r} is no amount of {name}")
