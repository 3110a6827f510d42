"""ExtendedResourceToleration: a pod that asks for a device tolerates the taint that keeps others off nodes with such devices.

Off unless it is asked for, as upstream. Upstream: `plugin/pkg/admission/extendedresourcetoleration`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import PodSpec, Toleration
from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Plugin, Target
from pinnace.machinery.memo import Memo


class ExtendedResourceToleration(Plugin):
    """Adds a toleration for each extended resource."""

    name = "ExtendedResourceToleration"

    def handles(self, target: Target) -> bool:
        return target.is_on("", "pods") and target.operation in {CREATE, UPDATE}

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        spec = _tolerating(obj.spec)
        return obj if spec is obj.spec else replace(obj, spec=spec)


def _with_tolerations(spec: PodSpec) -> PodSpec:
    devices = {
        name
        for container in (*spec.containers, *spec.init_containers)
        for name in container.resources.requests
        if "/" in name and "kubernetes.io/" not in name
    }
    wanted = [Toleration(key=name, operator="Exists", effect="NoSchedule") for name in sorted(devices)]
    added = [one for one in wanted if one not in spec.tolerations]
    return replace(spec, tolerations=(*spec.tolerations, *added)) if added else spec


_tolerating: Memo[PodSpec, PodSpec] = Memo(_with_tolerations)
