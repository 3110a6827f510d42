"""How the bootstrap policy is written down: words separated by blanks, `core` for the group without a name.

What is written comes out as upstream's objects have it: words in alphabetical order, the label and the annotation by which a start
knows its own. Upstream: `pkg/apis/rbac/v1/helpers.go`, `rbac/bootstrappolicy/policy.go`.
"""

from collections.abc import Mapping

from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject

API_GROUP = "rbac.authorization.k8s.io"
LABELS: Mapping[str, str] = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
ANNOTATIONS: Mapping[str, str] = {AUTO_UPDATE: "true"}

READ = "get list watch"
WRITE = "create delete deletecollection patch update"
READ_WRITE = "create delete deletecollection get list patch update watch"
READ_UPDATE = "get list patch update watch"


def _words(text: str) -> tuple[str, ...]:
    return tuple(sorted(text.split()))


def on(groups: str, resources: str, verbs: str, *, names: str = "") -> PolicyRule:
    """Return a rule on resources, of these names only when there are any."""
    return PolicyRule(
        verbs=_words(verbs),
        api_groups=tuple(sorted("" if group == "core" else group for group in groups.split())),
        resources=_words(resources),
        resource_names=_words(names),
    )


def on_paths(verbs: str, paths: str) -> PolicyRule:
    """Return a rule on paths; one that ends with `*` covers everything it begins."""
    return PolicyRule(verbs=_words(verbs), non_resource_urls=_words(paths))


EVENTS = on("core events.k8s.io", "events", "create patch update")


def metadata(name: str, *, namespace: str = "", labels: Mapping[str, str] | None = None) -> ObjectMeta:
    """Return the metadata of an object of the policy."""
    return ObjectMeta(
        name=name, namespace=namespace, labels={**LABELS, **labels} if labels else LABELS, annotations=ANNOTATIONS
    )


def role(name: str, *rules: PolicyRule, labels: Mapping[str, str] | None = None) -> ClusterRole:
    """Return a cluster role."""
    return ClusterRole(metadata=metadata(name, labels=labels), rules=rules)


def binding(role_name: str, *subjects: Subject) -> ClusterRoleBinding:
    """Return the binding of a cluster role that has the role's name."""
    return ClusterRoleBinding(
        metadata=metadata(role_name),
        subjects=subjects,
        role_ref=RoleRef(api_group=API_GROUP, kind="ClusterRole", name=role_name),
    )


def user(name: str) -> Subject:
    """Return a user as a subject."""
    return Subject(kind="User", api_group=API_GROUP, name=name)


def group(name: str) -> Subject:
    """Return a group as a subject."""
    return Subject(kind="Group", api_group=API_GROUP, name=name)


def account(name: str, namespace: str = "kube-system") -> Subject:
    """Return a service account as a subject."""
    return Subject(kind="ServiceAccount", name=name, namespace=namespace)
