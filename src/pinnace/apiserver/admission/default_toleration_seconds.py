"""DefaultTolerationSeconds: a pod stays five minutes on a node that is lost, unless it says otherwise.

Upstream: `plugin/pkg/admission/defaulttolerationseconds`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import PodSpec, Toleration
from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Plugin, Target
from pinnace.machinery.memo import Memo

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
# Seconds that a pod stays on a node that is lost.
TOLERATION_SECONDS = 300

_DEFAULTS = tuple(
    Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=TOLERATION_SECONDS)
    for key in (NOT_READY, UNREACHABLE)
)


class DefaultTolerationSeconds(Plugin):
    """Adds the two tolerations where nothing covers them."""

    name = "DefaultTolerationSeconds"

    def handles(self, target: Target) -> bool:
        return target.is_on("", "pods") and target.operation in {CREATE, UPDATE}

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        spec = _tolerating(obj.spec)
        return obj if spec is obj.spec else replace(obj, spec=spec)


def _with_defaults(spec: PodSpec) -> PodSpec:
    own = spec.tolerations
    added = tuple(default for default in _DEFAULTS if not any(_covers(toleration, default.key) for toleration in own))
    return replace(spec, tolerations=(*own, *added)) if added else spec


_tolerating: Memo[PodSpec, PodSpec] = Memo(_with_defaults)


def _covers(toleration: Toleration, key: str) -> bool:
    return toleration.key in {key, ""} and toleration.effect in {"NoExecute", ""}
