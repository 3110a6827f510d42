"""Writing a StatefulSet's pods, with their claims, and the events that tell of it.

Upstream: pkg/controller/statefulset/stateful_pod_control.go.
"""

from pinnace.api.apps_v1 import StatefulSet
from pinnace.api.core_v1 import Pod
from pinnace.client import Client, EventRecorder
from pinnace.controllers import statefulset_pods as rules
from pinnace.controllers.pod_control import is_terminating
from pinnace.controllers.statefulset_claims import Claims
from pinnace.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound
from pinnace.machinery.meta import is_controlled_by


class StatefulPodControl:
    """Writes pods in the controller's name."""

    def __init__(self, client: Client, recorder: EventRecorder, claims: Claims) -> None:
        self._client = client
        self._recorder = recorder
        self._claims = claims

    async def create(self, owner: StatefulSet, pod: Pod, ordinal: int) -> None:
        """Create a pod and the claims it lacks; one that is there already, and is the owner's, is as good.

        Raises:
            ClaimGoes: one of its claims is still somebody else's.
            ApiError: the server refused; the owner has an event of it, unless the name is taken.
        """
        await self._claims.prepare(owner, pod, ordinal)
        try:
            made = await self._client.create(pod)
        except AlreadyExists:
            there = await self._client.get(Pod, pod.metadata.name, pod.metadata.namespace)
            if not is_controlled_by(there, owner.metadata.uid):
                raise
            return
        except ApiError as error:
            if not is_terminating(error):
                self._tell(owner, "create", pod, error)
            raise
        self._tell(owner, "create", pod)
        await self._claims.retain_or_not(owner, made, ordinal)

    async def mend(self, owner: StatefulSet, pod: Pod, ordinal: int) -> None:
        """Give a pod that is there what it lacks: its labels, its claims, and their owners.

        Raises:
            ClaimGoes: one of its claims is being deleted.
            ApiError: the server refused; the owner has an event of it.
        """
        await self._claims.make_missing(owner, pod, ordinal)
        await self._claims.retain_or_not(owner, pod, ordinal)
        mended = rules.with_identity(owner, pod)
        if mended is pod:
            return
        try:
            await self._client.update(mended)
        except Conflict:
            raise
        except ApiError as error:
            self._tell(owner, "update", pod, error)
            raise
        self._tell(owner, "update", pod)

    async def retain_or_not(self, owner: StatefulSet, pod: Pod, ordinal: int) -> None:
        """Say of the claims of a pod that is to go whether they go with it.

        Raises:
            ApiError: the server refused.
        """
        await self._claims.retain_or_not(owner, pod, ordinal)

    async def delete(self, owner: StatefulSet, pod: Pod) -> None:
        """Delete a pod, if it is still there.

        Raises:
            ApiError: the server refused; the owner has an event of it.
        """
        metadata = pod.metadata
        try:
            await self._client.delete(Pod, metadata.name, metadata.namespace, uid=metadata.uid)
        except NotFound:
            return
        except ApiError as error:
            self._tell(owner, "delete", pod, error)
            raise
        self._tell(owner, "delete", pod)

    def _tell(self, owner: StatefulSet, verb: str, pod: Pod, error: ApiError | None = None) -> None:
        about = f"{verb} Pod {pod.metadata.name} in StatefulSet {owner.metadata.name}"
        if error is None:
            self._recorder.event(owner, "Normal", f"Successful{verb.title()}", f"{about} successful")
        else:
            self._recorder.event(owner, "Warning", f"Failed{verb.title()}", f"{about} failed error: {error}")
