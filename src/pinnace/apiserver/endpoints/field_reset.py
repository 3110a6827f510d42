"""Fields that a path takes no value of, and that its writers so cannot own: the status on the object, the spec on its status.

Source: `GetResetFields` of upstream's strategies; most kinds follow the rule, the table has the others.
"""

from functools import cache

from pinnace.api.resources import Resource
from pinnace.machinery.managedfields import Tree

_STATUS = (("status",),)
_SPEC = (("spec",),)
_SPECIAL: dict[tuple[str, str, str], tuple[tuple[str, ...], ...]] = {
    ("", "pods", "status"): (("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences")),
    ("", "pods", "ephemeralcontainers"): (),
    ("", "pods", "resize"): (),
    ("", "namespaces", "finalize"): _STATUS,
    ("", "nodes", ""): (("status",), ("spec", "configSource")),
    ("apps", "deployments", "status"): (("spec",), ("metadata", "labels")),
    ("apps", "replicasets", "scale"): (),
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
    ("resource.k8s.io", "resourceclaims", "status"): (("spec",), ("metadata",)),
    ("apiextensions.k8s.io", "customresourcedefinitions", "status"): (("spec",), ("metadata",)),
}


@cache
def reset_fields(resource: Resource, subresource: str) -> Tree:
    """Return the branches that a write by this path cannot own."""
    found = _SPECIAL.get((resource.group, resource.plural, subresource))
    if found is None:
        has_status = resource.subresource("status") is not None
        found = (_STATUS if has_status else ()) if not subresource else _SPEC if subresource == "status" else ()
    tree: dict[str, dict[str, object]] = {}
    for path in found:
        at: dict[str, object] = tree  # type: ignore[assignment]
        for name in path:
            at = at.setdefault(f"f:{name}", {})  # type: ignore[assignment]
    return tree
