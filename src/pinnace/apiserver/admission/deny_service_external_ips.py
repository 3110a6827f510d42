"""DenyServiceExternalIPs: no service takes further external addresses, which could be somebody else's (CVE-2020-8554).

What a service has it may keep or give up. Off unless it is asked for, as upstream. Upstream:
`plugin/pkg/admission/network/denyserviceexternalips`.
"""

from typing import Any

from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Plugin, Target


class DenyServiceExternalIPs(Plugin):
    """Refuses new external addresses."""

    name = "DenyServiceExternalIPs"

    def handles(self, target: Target) -> bool:
        return target.is_on("", "services") and target.operation in {CREATE, UPDATE}

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        before = old.spec.external_ips if old is not None else ()
        if not set(obj.spec.external_ips) <= set(before):
            raise attributes.refuse("Use of external IPs is denied by admission control", obj)
