"""Creating and deleting pods for an owner, with the events that tell of it (`RealPodControl` in pkg/controller/controller_utils.go)."""

from typing import Any

from pinnace.api import core_v1
from pinnace.client import Client, EventRecorder
from pinnace.machinery.errors import ApiError, NotFound


class PodControl:
    """Writes pods in one controller's name."""

    def __init__(self, client: Client, recorder: EventRecorder) -> None:
        self._client = client
        self._recorder = recorder

    async def create(self, owner: Any, pod: core_v1.Pod) -> None:
        """Create a pod; where the namespace is on its way out nothing is done, as nothing will ever succeed there.

        Raises:
            ApiError: the server refused; the owner has an event of it.
        """
        try:
            created = await self._client.create(pod)
        except ApiError as error:
            if is_terminating(error):
                return
            self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {created.metadata.name}")

    async def delete(self, owner: Any, pod: core_v1.Pod) -> bool:
        """Delete a pod and tell whether it was still there.

        Raises:
            ApiError: the server refused; the owner has an event of it.
        """
        metadata = pod.metadata
        try:
            await self._client.delete(core_v1.Pod, metadata.name, metadata.namespace, uid=metadata.uid)
        except NotFound:
            return False
        except ApiError as error:
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata.name}")
        return True


def is_terminating(error: ApiError) -> bool:
    """Tell whether a create failed because its namespace is being deleted."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)
