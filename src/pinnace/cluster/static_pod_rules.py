"""What static pods are given that other pods get from the API server: defaults, validation, a class of service.

The node has the same rules at hand as the API server, and asks nobody. Upstream: kubelet `config/common.go`.
"""

from msgspec.structs import replace

from pinnace.api.core_v1 import Pod
from pinnace.apiserver.admission.node_restriction import api_reference
from pinnace.apiserver.registry.core.pod import STRATEGY
from pinnace.apiserver.registry.core.pod_resources import qos_class


def complete(pod: Pod) -> Pod:
    """Return a static pod as it would be stored.

    Raises:
        ValueError: it is not valid, or refers to objects that only the API server has.
    """
    whole = STRATEGY.default(pod)
    if what := api_reference(whole):
        raise ValueError(f"static pods may not reference {what}")
    if found := STRATEGY.validate(whole):
        raise ValueError(f"invalid pod: {', '.join(map(str, found))}")
    return replace(whole, status=replace(whole.status, qos_class=qos_class(whole.spec)))
