"""Warnings about pods and templates: what is deprecated, doubled or without effect.

Upstream: pkg/api/pod `warnings.go`. Warnings are given on create, and on updates that change the spec.
"""

from collections.abc import Iterator

from pinnace.api import core_v1 as v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.registry.core.label_warnings import LABELS, term_warnings
from pinnace.apiserver.registry.core.validation.annotations import APPARMOR, SECCOMP_CONTAINER, SECCOMP_POD
from pinnace.machinery import quantity
from pinnace.machinery.addresses import ip_warnings
from pinnace.machinery.field import Path, go_quoted
from pinnace.machinery.memo import Memo

_VOLUMES = (
    ("photon_persistent_disk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("git_repo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scale_io", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
)
_ROOT = Path()


def pod_warnings(new: v1.Pod, old: v1.Pod | None) -> list[str]:
    """Return the warnings about a pod."""
    if old is not None and old.spec == new.spec:
        return []
    if new.metadata.annotations:
        return list(_warnings(new.metadata, new.spec, _ROOT, pod=True))
    return list(_SPEC_WARNINGS(new.spec))


_SPEC_WARNINGS: Memo[v1.PodSpec, tuple[str, ...]] = Memo(
    lambda spec: tuple(_warnings(ObjectMeta(), spec, _ROOT, pod=True))
)


def status_warnings(new: v1.Pod, old: v1.Pod | None) -> list[str]:  # noqa: ARG001
    """Return the warnings about the addresses in a pod's status."""
    status, path = new.status, Path("status")
    pods = (ip_warnings(one.ip, path.child("podIPs").index(at).child("ip")) for at, one in enumerate(status.pod_ips))
    hosts = (ip_warnings(one.ip, path.child("hostIPs").index(at).child("ip")) for at, one in enumerate(status.host_ips))
    return [text for found in (*pods, *hosts) for text in found]


def template_warnings(template: v1.PodTemplateSpec, path: Path, old: v1.PodTemplateSpec | None) -> list[str]:
    """Return the warnings about a pod template."""
    if old is not None and old.spec == template.spec:
        return []
    return list(_warnings(template.metadata, template.spec, path, pod=False))


def _warnings(meta: ObjectMeta, spec: v1.PodSpec, path: Path, *, pod: bool) -> Iterator[str]:
    at = path.child("spec")
    for key in sorted(spec.node_selector):
        if key in LABELS:
            yield f"{at.child('nodeSelector').key(key)}: {LABELS[key]}"
    yield from _affinity_labels(spec, at)
    for index, constraint in enumerate(spec.topology_spread_constraints):
        if constraint.topology_key in LABELS:
            where = at.child("topologySpreadConstraints").index(index).child("topologyKey")
            yield f"{where}: {constraint.topology_key} is {LABELS[constraint.topology_key]}"
    yield from _annotation_warnings(meta, path, pod=pod)
    yield from _alias_warnings(spec, at)
    yield from _volume_warnings(spec, at)
    yield from _secret_warnings(spec, at)
    yield from _container_warnings(spec, at)
    if spec.termination_grace_period_seconds is not None and spec.termination_grace_period_seconds < 0:
        where = at.child("terminationGracePeriodSeconds")
        yield f"{where}: must be >= 0; negative values are invalid and will be treated as 1"


def _affinity_labels(spec: v1.PodSpec, path: Path) -> Iterator[str]:
    node = spec.affinity.node_affinity if spec.affinity is not None else None
    if node is None:
        return
    at = path.child("affinity").child("nodeAffinity")
    selector = node.required_during_scheduling_ignored_during_execution
    if selector is not None:
        terms = at.child("requiredDuringSchedulingIgnoredDuringExecution").child("nodeSelectorTerms")
        for index, term in enumerate(selector.node_selector_terms):
            yield from term_warnings(term, terms.index(index))
    preferred = at.child("preferredDuringSchedulingIgnoredDuringExecution")
    for index, weighted in enumerate(node.preferred_during_scheduling_ignored_during_execution):
        yield from term_warnings(weighted.preference, preferred.index(index).child("preference"))


def _annotation_warnings(meta: ObjectMeta, path: Path, *, pod: bool) -> Iterator[str]:
    at = path.child("metadata", "annotations") if pod or not str(path) else path.child("metadata").child("annotations")
    for key in sorted(meta.annotations):
        if key.startswith(APPARMOR):
            yield f'{at.key(key)}: deprecated since v1.30; use the "appArmorProfile" field instead'
        elif key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            yield f'{at.key(key)}: non-functional in v1.27+; use the "seccompProfile" field instead'


def _alias_warnings(spec: v1.PodSpec, path: Path) -> Iterator[str]:
    taken: set[str] = set()
    for index, alias in enumerate(spec.host_aliases):
        if alias.ip in taken:
            yield f'{path.child("hostAliases").index(index).child("ip")}: duplicate ip "{alias.ip}"'
        taken.add(alias.ip)


def _volume_warnings(spec: v1.PodSpec, path: Path) -> Iterator[str]:
    for index, volume in enumerate(spec.volumes):
        for attribute, wire, words in _VOLUMES:
            if getattr(volume, attribute) is not None:
                yield f"{path.child('volumes').index(index).child(wire)}: {words}"


def _secret_warnings(spec: v1.PodSpec, path: Path) -> Iterator[str]:
    taken: set[str] = set()
    for index, secret in enumerate(spec.image_pull_secrets):
        where = path.child("imagePullSecrets").index(index).child("name")
        if not secret.name:
            yield f'{where}: invalid empty name "{secret.name}"'
        elif secret.name in taken:
            yield f'{where}: duplicate name "{secret.name}"'
        taken.add(secret.name)


def _container_warnings(spec: v1.PodSpec, path: Path) -> Iterator[str]:
    ports: dict[tuple[str, str, int, int], Path] = {}
    for containers, wire in ((spec.init_containers, "initContainers"), (spec.containers, "containers")):
        for index, container in enumerate(containers):
            at = path.child(wire).index(index)
            yield from _fraction_warnings(container, at)
            taken: set[str] = set()
            for number, variable in enumerate(container.env):
                if variable.name in taken:
                    yield (
                        f"{at.child('env').index(number)}: hides previous definition of {go_quoted(variable.name)}, "
                        "which may be dropped when using apply"
                    )
                taken.add(variable.name)
            for number, port in enumerate(container.ports):
                where = at.child("ports").index(number)
                key = (port.protocol, port.host_ip, port.host_port, port.container_port)
                if key in ports:
                    yield f"{where}: duplicate port definition with {ports[key]}"
                else:
                    ports[key] = where


def _fraction_warnings(container: v1.Container, path: Path) -> Iterator[str]:
    for side in ("limits", "requests"):
        amounts = getattr(container.resources, side)
        for name in ("memory", "ephemeral-storage"):
            text = amounts.get(name)
            if text is not None and quantity.parse(text).milli() % 1000:
                where = path.child("resources").child(side).key(name)
                yield f'{where}: fractional byte value "{text}" is invalid, must be an integer'
