"""Fields that a path takes no value of, and that its writers so cannot own: the status on the object, the spec on its status.

Source: `GetResetFields` of upstream's strategies; most kinds follow the rule, the table has the others.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeAlias

from pinnace.api.resources import Resource
from pinnace.machinery.managedfields import Tree, sets

Path: TypeAlias = tuple[str, ...]

_STATUS = (("status",),)
_SPEC = (("spec",),)
_SPECIAL: dict[tuple[str, str, str], tuple[Path, ...]] = {
    ("", "pods", "status"): (("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences")),
    ("", "namespaces", "finalize"): _STATUS,
    ("", "nodes", ""): (("status",), ("spec", "configSource")),
    ("apps", "deployments", "status"): (("spec",), ("metadata", "labels")),
    ("certificates.k8s.io", "certificatesigningrequests", ""): (
        ("spec", "extra"),
        ("spec", "groups"),
        ("spec", "uid"),
        ("spec", "username"),
        ("status",),
    ),
    ("certificates.k8s.io", "certificatesigningrequests", "status"): (("spec",), ("status", "conditions")),
    ("certificates.k8s.io", "certificatesigningrequests", "approval"): (("spec",), ("status", "certificate")),
    # Upstream names a version of these that there is not, so that nothing is reset.
    ("networking.k8s.io", "servicecidrs", ""): (),
    ("networking.k8s.io", "servicecidrs", "status"): (),
    **{
        (group, plural, "status"): (("spec",), ("metadata",))
        for group, plural in (
            ("apiextensions.k8s.io", "customresourcedefinitions"),
            ("apiregistration.k8s.io", "apiservices"),
            ("flowcontrol.apiserver.k8s.io", "flowschemas"),
            ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
            ("resource.k8s.io", "resourceclaims"),
            ("storage.k8s.io", "volumeattachments"),
        )
    },
}

# The other way round: of these paths nothing but this can be owned.
_ONLY: dict[tuple[str, str, str], tuple[Path, ...]] = {
    ("", "pods", "ephemeralcontainers"): (("spec", "ephemeralContainers"),),
    ("", "pods", "resize"): tuple(
        ("spec", containers, "*", name)
        for containers in ("containers", "initContainers")
        for name in ("resources", "resizePolicy")
    ),
}


@cache
def ownable(resource: Resource, subresource: str) -> Callable[[Tree], Tree]:
    """Return what leaves of a set of fields those that a write by this path can own."""
    key = (resource.group, resource.plural, subresource)
    only = _ONLY.get(key)
    if only is not None:
        return partial(sets.only_matching, pattern=_tree(only))
    found = _SPECIAL.get(key)
    if found is None:
        has_status = resource.subresource("status") is not None
        found = (_STATUS if has_status else ()) if not subresource else _SPEC if subresource == "status" else ()
    return partial(sets.without_branches, branches=_tree(found))


def _tree(paths: tuple[Path, ...]) -> Tree:
    tree: dict[str, Any] = {}
    for path in paths:
        at = tree
        for name in path:
            at = at.setdefault(name if name == "*" else f"f:{name}", {})
    return tree
