"""RoleBinding and ClusterRoleBinding (upstream pkg/apis/rbac/{v1,validation}, pkg/registry/rbac/{rolebinding,clusterrolebinding}).

Whether a user may bind a role depends on the rules the user holds: that is the check of `authorization/escalation.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from pinnace.api.rbac_v1 import ClusterRoleBinding, RoleBinding, RoleRef, Subject
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.strategy import Column, Strategy
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required
from pinnace.machinery.names import dns_subdomain, path_segment

B = TypeVar("B", RoleBinding, ClusterRoleBinding)

API_GROUP = "rbac.authorization.k8s.io"
_ROLE_REF, _SUBJECTS = Path("roleRef"), Path("subjects")


def default(obj: B) -> B:
    """Name the API group of the role and of the subjects that are no objects."""
    subjects = tuple(map(_default_subject, obj.subjects))
    ref = obj.role_ref if obj.role_ref.api_group else replace(obj.role_ref, api_group=API_GROUP)
    return replace(obj, subjects=subjects, role_ref=ref)


def _default_subject(subject: Subject) -> Subject:
    if subject.api_group or subject.kind not in {"User", "Group"}:
        return subject
    return replace(subject, api_group=API_GROUP)


def validate_role_binding(obj: RoleBinding) -> Sequence[FieldError]:
    """Check what is bound, and to whom."""
    return (*_ref_errors(obj.role_ref, ("Role", "ClusterRole")), *_subject_errors(obj.subjects, namespaced=True))


def validate_cluster_role_binding(obj: ClusterRoleBinding) -> Sequence[FieldError]:
    """Check what is bound, and to whom."""
    return (*_ref_errors(obj.role_ref, ("ClusterRole",)), *_subject_errors(obj.subjects, namespaced=False))


def _ref_errors(ref: RoleRef, kinds: tuple[str, ...]) -> Iterator[FieldError]:
    if ref.api_group != API_GROUP:
        yield not_supported(_ROLE_REF.child("apiGroup"), ref.api_group, (API_GROUP,))
    if ref.kind not in kinds:
        yield not_supported(_ROLE_REF.child("kind"), ref.kind, kinds)
    if not ref.name:
        yield required(_ROLE_REF.child("name"))
    else:
        yield from (invalid(_ROLE_REF.child("name"), ref.name, text) for text in path_segment(ref.name))


def _subject_errors(subjects: Sequence[Subject], *, namespaced: bool) -> Iterator[FieldError]:
    for index, subject in enumerate(subjects):
        path = _SUBJECTS.index(index)
        if not subject.name:
            yield required(path.child("name"))
        if subject.kind == "ServiceAccount":
            if subject.name:
                yield from (invalid(path.child("name"), subject.name, text) for text in dns_subdomain(subject.name))
            if subject.api_group:
                yield not_supported(path.child("apiGroup"), subject.api_group, ("",))
            if not namespaced and not subject.namespace:
                yield required(path.child("namespace"))
        elif subject.kind in {"User", "Group"}:
            if subject.api_group != API_GROUP:
                yield not_supported(path.child("apiGroup"), subject.api_group, (API_GROUP,))
        else:
            yield not_supported(path.child("kind"), subject.kind, ("ServiceAccount", "User", "Group"))


def validate_update(new: B, old: B) -> Sequence[FieldError]:
    """Hold a binding to its role: whoever may change subjects must not change what they get."""
    if new.role_ref == old.role_ref:
        return ()
    ref = new.role_ref
    shown = {"APIGroup": ref.api_group, "Kind": ref.kind, "Name": ref.name}
    return (invalid(_ROLE_REF, shown, "cannot change roleRef"),)


def cells(obj: RoleBinding | ClusterRoleBinding, now: float) -> Sequence[Any]:
    """Return the row."""
    ref = obj.role_ref
    by_kind: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.subjects:
        name = f"{subject.namespace}/{subject.name}" if subject.kind == "ServiceAccount" else subject.name
        by_kind.get(subject.kind, []).append(name)
    listed = (", ".join(names) for names in by_kind.values())
    return (obj.metadata.name, f"{ref.kind}/{ref.name}", columns.object_age(obj, now), *listed)


_COLUMNS = (
    columns.NAME,
    Column("Role", description="The role that the binding grants."),
    columns.AGE,
    Column("Users", priority=1, description="Users among the subjects."),
    Column("Groups", priority=1, description="Groups among the subjects."),
    Column("ServiceAccounts", priority=1, description="Service accounts among the subjects, with their namespaces."),
)

ROLE_BINDING: Strategy[RoleBinding] = Strategy(
    default=default,
    validate=validate_role_binding,
    validate_update=validate_update,
    name_errors=path_segment,
    allow_create_on_update=True,
    columns=_COLUMNS,
    cells=cells,
)
CLUSTER_ROLE_BINDING: Strategy[ClusterRoleBinding] = Strategy(
    default=default,
    validate=validate_cluster_role_binding,
    validate_update=validate_update,
    name_errors=path_segment,
    allow_create_on_update=True,
    columns=_COLUMNS,
    cells=cells,
)
