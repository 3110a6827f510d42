"""Node (upstream pkg/registry/core/node, pkg/apis/core/v1 `defaults.go`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Node
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.strategy import Column, Context, Selectable, Strategy, unknown_field_own_table
from pinnace.machinery.addresses import cidr
from pinnace.machinery.field import FieldError, Path, forbidden, invalid

_ROLE = "node-role.kubernetes.io/"


def default(obj: Node) -> Node:
    """Take one spelling of the pod ranges from the other, and what can be allocated from what there is."""
    spec, status = obj.spec, obj.status
    if spec.pod_cidr and not spec.pod_cidrs:
        spec = replace(spec, pod_cidrs=(spec.pod_cidr,))
    elif spec.pod_cidrs and not spec.pod_cidr:
        spec = replace(spec, pod_cidr=spec.pod_cidrs[0])
    if status.capacity and not status.allocatable:
        status = replace(status, allocatable=status.capacity)
    return obj if spec is obj.spec and status is obj.status else replace(obj, spec=spec, status=status)


def prepare_update(ctx: Context, new: Node, old: Node) -> Node:  # noqa: ARG001
    """Leave the status to its own path."""
    return replace(new, status=old.status)


def validate(obj: Node) -> Sequence[FieldError]:
    """Check the pod ranges."""
    return tuple(_range_errors(obj))


def _range_errors(obj: Node) -> Iterator[FieldError]:
    path = Path("spec", "podCIDRs")
    for index, text in enumerate(obj.spec.pod_cidrs):
        for message in cidr(text):
            yield invalid(path.index(index), text, message)
    if len(obj.spec.pod_cidrs) > 2:
        yield invalid(path, list(obj.spec.pod_cidrs), "must specify no more than one CIDR for each IP family")


def validate_update(new: Node, old: Node) -> Sequence[FieldError]:
    """Let the pod ranges be given once, and the provider's name too."""
    found = []
    if old.spec.pod_cidrs and new.spec.pod_cidrs != old.spec.pod_cidrs:
        found.append(forbidden(Path("spec", "podCIDRs"), 'node updates may not change podCIDR except from "" to valid'))
    if old.spec.provider_id and new.spec.provider_id != old.spec.provider_id:
        text = 'node updates may not change providerID except from "" to valid'
        found.append(forbidden(Path("spec", "providerID"), text))
    return found


def roles(obj: Node) -> str:
    """Return the roles that a node's labels give it."""
    found = {key.removeprefix(_ROLE) for key in obj.metadata.labels if key.startswith(_ROLE)}
    found.add(obj.metadata.labels.get("kubernetes.io/role", ""))
    return columns.joined(sorted(found - {""}))


def state(obj: Node) -> str:
    """Return the STATUS column."""
    ready = next((item for item in obj.status.conditions if item.type == "Ready"), None)
    text = "Unknown" if ready is None else "Ready" if ready.status == "True" else "NotReady"
    return f"{text},SchedulingDisabled" if obj.spec.unschedulable else text


def cells(obj: Node, now: float) -> Sequence[Any]:
    """Return the row."""
    info = obj.status.node_info
    kernel = info.kernel_version or "<unknown>"
    if info.kernel_version and info.architecture:
        kernel = f"{kernel} ({info.architecture})"
    return (
        obj.metadata.name,
        state(obj),
        roles(obj),
        columns.object_age(obj, now),
        info.kubelet_version,
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        info.os_image or "<unknown>",
        kernel,
        info.container_runtime_version or "<unknown>",
    )


def _address(obj: Node, kind: str) -> str:
    return next((item.address for item in obj.status.addresses if item.type == kind), columns.NONE)


STRATEGY: Strategy[Node] = Strategy(
    default=default,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    is_untouched=lambda new, old: new.spec.pod_cidrs == old.spec.pod_cidrs,
    resets_status=False,
    selectable=Selectable(
        fields={"spec.unschedulable": lambda obj: "true" if obj.spec.unschedulable else "false"},
        unknown=unknown_field_own_table,
    ),
    columns=(
        columns.NAME,
        Column("Status", description="Whether the node is ready."),
        Column("Roles", description="The roles of the node."),
        columns.AGE,
        Column("Version", description="The version of its agent."),
        Column("Internal-IP", priority=1, description="Its address in the cluster."),
        Column("External-IP", priority=1, description="Its address outside."),
        Column("OS-Image", priority=1, description="Its operating system."),
        Column("Kernel-Version", priority=1, description="Its kernel."),
        Column("Container-Runtime", priority=1, description="What runs its containers."),
    ),
    cells=cells,
)
