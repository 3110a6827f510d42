"""PodSecurity: pods are refused where their namespace enforces a level that they break, and warned of where it only warns.

What makes pods (deployments, jobs, ...) is never refused, only warned of. A namespace whose labels make no sense is refused; one
whose level rises is told which of its pods would no longer be let in. Namespaces, users and runtime classes can be exempt.
Upstream: `staging/src/k8s.io/pod-security-admission/admission/admission.go`, `plugin/pkg/admission/security/podsecurity`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from pinnace.api.core_v1 import Namespace, Pod, PodSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Objects, Plugin, Target
from pinnace.apiserver.admission.pod_security.evaluation import violations
from pinnace.apiserver.admission.pod_security.policy import Level, LevelVersion, Policy, Read, of_labels
from pinnace.apiserver.admission.pod_security.violation import Violation
from pinnace.machinery import errors
from pinnace.machinery.memo import Memo

# Pods that are looked at when a namespace's level rises; more would hold the request up.
NAMESPACE_PODS_LIMIT = 3000
_POD_PARTS = frozenset({"", "ephemeralcontainers", "resize"})


def _spec_template(obj: Any) -> Any:
    return obj.spec.template


_TEMPLATES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("", "podtemplates"): lambda obj: obj.template,
    ("", "replicationcontrollers"): _spec_template,
    ("apps", "replicasets"): _spec_template,
    ("apps", "deployments"): _spec_template,
    ("apps", "statefulsets"): _spec_template,
    ("apps", "daemonsets"): _spec_template,
    ("batch", "jobs"): _spec_template,
    ("batch", "cronjobs"): lambda obj: obj.spec.job_template.spec.template,
}


class Exemptions(Struct, frozen=True, kw_only=True):
    """Whom the checks do not concern."""

    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


class PodSecurity(Plugin):
    """Holds pods to the level of their namespace."""

    name = "PodSecurity"

    def __init__(
        self,
        objects: Objects,
        default: Policy = Policy(),  # noqa: B008 - frozen
        exemptions: Exemptions = Exemptions(),  # noqa: B008 - frozen
    ) -> None:
        self._objects = objects
        self._default = default
        self._exempt = exemptions
        self._policies: Memo[Namespace, Read] = Memo(lambda namespace: of_labels(namespace.metadata.labels, default))

    def handles(self, target: Target) -> bool:
        if target.operation not in {CREATE, UPDATE}:
            return False
        if (target.group, target.resource) == ("", "pods"):
            return target.subresource in _POD_PARTS
        if target.subresource:
            return False
        return target.is_on("", "namespaces") or (target.group, target.resource) in _TEMPLATES

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        if attributes.resource == "namespaces":
            await self._check_namespace(attributes, obj, old)
            return
        exempt = self._exempt
        if attributes.namespace in exempt.namespaces or attributes.user.name in exempt.usernames:
            return
        namespace = await self._objects.get(Namespace, attributes.namespace)
        if namespace is None:
            raise errors.internal(f"failed to lookup namespace {attributes.namespace}")
        policy = self._policies(namespace).policy
        if attributes.resource == "pods":
            if policy.enforce.level is policy.warn.level is Level.PRIVILEGED:
                return
            if old is None or _is_significant(obj, old):
                self._evaluate(attributes, obj, obj.spec, obj.metadata, policy, enforce=True)
        elif policy.warn.level is not Level.PRIVILEGED:
            template = _TEMPLATES[attributes.group, attributes.resource](obj)
            if template is not None:
                self._evaluate(attributes, obj, template.spec, template.metadata, policy, enforce=False)

    def _evaluate(
        self, attributes: Attributes, obj: Any, spec: PodSpec, meta: ObjectMeta, policy: Policy, *, enforce: bool
    ) -> None:
        if spec.runtime_class_name in self._exempt.runtime_classes:
            return
        if enforce:
            found = violations(spec, meta.annotations, policy.enforce)
            if found:
                raise attributes.refuse(f'violates PodSecurity "{policy.enforce}": {_told(found)}', obj)
        found = violations(spec, meta.annotations, policy.warn)
        if found:
            attributes.warn(f'would violate PodSecurity "{policy.warn}": {_told(found)}')

    async def _check_namespace(self, attributes: Attributes, new: Namespace, old: Namespace | None) -> None:
        read = of_labels(new.metadata.labels, self._default)
        before = of_labels(old.metadata.labels, self._default) if old is not None else None
        if read.errors and (before is None or read.errors != before.errors):
            raise errors.invalid("", "Namespace", new.metadata.name, read.errors)
        if before is None or new.metadata.name in self._exempt.namespaces:
            return
        wanted, had = read.policy.enforce, before.policy.enforce
        is_relaxed = wanted.minor == had.minor and wanted.level.strictness <= had.level.strictness
        if wanted == had or wanted.level is Level.PRIVILEGED or is_relaxed:
            return
        pods = await self._objects.list(Pod, new.metadata.name)
        for warning in self._standing(new.metadata.name, pods, wanted):
            attributes.warn(warning)

    def _standing(self, namespace: str, pods: tuple[Pod, ...], wanted: LevelVersion) -> list[str]:
        """Return the warnings about pods that are there and that a new level would not let in."""
        names: dict[str, list[str]] = {}
        for pod in pods[:NAMESPACE_PODS_LIMIT]:
            if pod.spec.runtime_class_name in self._exempt.runtime_classes:
                continue
            found = violations(pod.spec, pod.metadata.annotations, wanted)
            if found:
                names.setdefault(", ".join(violation.reason for violation in found), []).append(pod.metadata.name)
        warnings = []
        if len(pods) > NAMESPACE_PODS_LIMIT:
            warnings.append(
                f"new PodSecurity enforce level only checked against the first {NAMESPACE_PODS_LIMIT} of {len(pods)} "
                "existing pods"
            )
        if names:
            warnings.append(
                f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{wanted}"'
            )
        return warnings + sorted(_of_pods(reason, who) for reason, who in names.items())


def _told(found: Iterable[Violation]) -> str:
    return ", ".join(str(violation) for violation in found)


def _of_pods(reason: str, names: list[str]) -> str:
    others = len(names) - 1
    more = f" (and {others} other {'pod' if others == 1 else 'pods'})" if others else ""
    return f"{min(names)}{more}: {reason}"


def _is_significant(new: Pod, old: Pod) -> bool:
    """Tell whether an update touches what the checks look at."""
    if new.metadata.annotations != old.metadata.annotations:
        return True
    now, was = new.spec, old.spec
    return (now.containers, now.init_containers, now.ephemeral_containers) != (
        was.containers,
        was.init_containers,
        was.ephemeral_containers,
    )
