"""NetworkUnavailable: the network component's word that pods of this node can be given addresses.

The node agent leaves this condition to whoever sets up the network (upstream: the route controller or the CNI add-on).
"""

from pinnace.api import core_v1
from pinnace.client import Client, PatchType
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError

REASON, MESSAGE = "PodNetworkIsUp", "The pod network is set up on this node"
RETRY_SECONDS = 1.0
_log = get_logger("network")


async def report_network_up(client: Client, clock: Clock, node: str) -> None:
    """Set the condition to False, with its reason, and return once it is written."""
    now = timestamps.format(clock.time())
    condition = {
        "type": "NetworkUnavailable",
        "status": "False",
        "reason": REASON,
        "message": MESSAGE,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    while True:
        try:
            await client.patch(
                core_v1.Node,
                node,
                {"status": {"conditions": [condition]}},
                type=PatchType.STRATEGIC,
                subresource="status",
            )
        except (ApiError, HttpError, OSError, TimeoutError) as error:
            _log.warning("network condition not written", node=node, error=str(error))
            await clock.sleep(RETRY_SECONDS)
        else:
            return
