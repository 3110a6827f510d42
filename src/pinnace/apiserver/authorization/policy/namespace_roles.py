"""The roles inside the system namespaces, and who has them.

Upstream: `rbac/bootstrappolicy/namespace_policy.go`.
"""

from pinnace.api.rbac_v1 import PolicyRule, Role, RoleBinding, RoleRef, Subject
from pinnace.apiserver.authorization.policy.notation import (
    API_GROUP,
    EVENTS,
    READ,
    account,
    metadata,
    on,
    user,
)

_SYSTEM, _PUBLIC = "kube-system", "kube-public"
_READER = "extension-apiserver-authentication-reader"
_LOCKING = "system::leader-locking-"
_SIGNER, _PROVIDER, _CLEANER = (
    f"system:controller:{name}" for name in ("bootstrap-signer", "cloud-provider", "token-cleaner")
)
_LEADER = (
    on("coordination.k8s.io", "leases", "create get list update watch"),
    on("coordination.k8s.io", "leasecandidates", "create get list update watch"),
)


def _role(namespace: str, name: str, *rules: PolicyRule) -> Role:
    return Role(metadata=metadata(name, namespace=namespace), rules=rules)


def _binding(namespace: str, name: str, role: str, *subjects: Subject) -> RoleBinding:
    return RoleBinding(
        metadata=metadata(name, namespace=namespace),
        subjects=subjects,
        role_ref=RoleRef(api_group=API_GROUP, kind="Role", name=role),
    )


def namespace_roles() -> tuple[Role, ...]:
    """Return the roles of the system namespaces."""
    return (
        _role(_SYSTEM, _READER, on("core", "configmaps", READ, names="extension-apiserver-authentication")),
        _role(_SYSTEM, _SIGNER, on("core", "secrets", READ)),
        _role(_SYSTEM, _PROVIDER, on("core", "configmaps", "create get list watch")),
        _role(_SYSTEM, _CLEANER, on("core", "secrets", "delete get list watch"), EVENTS),
        _role(_SYSTEM, f"{_LOCKING}kube-controller-manager", *_LEADER),
        _role(_SYSTEM, f"{_LOCKING}kube-scheduler", *_LEADER),
        _role(
            _PUBLIC,
            _SIGNER,
            on("core", "configmaps", READ),
            on("core", "configmaps", "update", names="cluster-info"),
            EVENTS,
        ),
    )


def namespace_role_bindings() -> tuple[RoleBinding, ...]:
    """Return who has the roles of the system namespaces."""
    manager, scheduler = user("system:kube-controller-manager"), user("system:kube-scheduler")
    return (
        _binding(_SYSTEM, f"system::{_READER}", _READER, manager, scheduler),
        _binding(
            _SYSTEM,
            f"{_LOCKING}kube-controller-manager",
            f"{_LOCKING}kube-controller-manager",
            manager,
            account("kube-controller-manager"),
            account("leader-election-controller"),
        ),
        _binding(
            _SYSTEM,
            f"{_LOCKING}kube-scheduler",
            f"{_LOCKING}kube-scheduler",
            scheduler,
            account("kube-scheduler"),
        ),
        _binding(_SYSTEM, _SIGNER, _SIGNER, account("bootstrap-signer")),
        _binding(_SYSTEM, _PROVIDER, _PROVIDER, account("cloud-provider")),
        _binding(_SYSTEM, _CLEANER, _CLEANER, account("token-cleaner")),
        _binding(_PUBLIC, _SIGNER, _SIGNER, account("bootstrap-signer")),
    )
