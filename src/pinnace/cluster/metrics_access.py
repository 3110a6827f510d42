"""Who may read what nodes and pods use: whoever may view a namespace, its pods; as the usual metrics server grants it."""

from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRole, PolicyRule
from pinnace.apiserver.resource_metrics import GROUP
from pinnace.client import Client
from pinnace.machinery.errors import AlreadyExists

ROLE = "system:aggregated-metrics-reader"
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-{}"


async def grant_metrics_reading(client: Client) -> None:
    """Make the role that is joined to `view`, `edit` and `admin`; what is there already is left as it is.

    Raises:
        ApiError: it cannot be written.
    """
    labels = {_AGGREGATE.format(name): "true" for name in ("view", "edit", "admin")}
    rule = PolicyRule(api_groups=(GROUP,), resources=("pods", "nodes"), verbs=("get", "list", "watch"))
    try:
        await client.create(ClusterRole(metadata=ObjectMeta(name=ROLE, labels=labels), rules=(rule,)))
    except AlreadyExists:
        return
