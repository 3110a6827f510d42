"""Makes sure that a container's image is on the node, by its pull policy, with the pod's secrets, with back-off after failures.

Pulls take turns. Upstream: kubelet `images/image_manager.go`, kuberuntime `kuberuntime_image.go`.
"""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.component.clock import Clock
from pinnace.kubelet.environment import Source
from pinnace.kubelet.image_credentials import InvalidName, credentials, repository
from pinnace.kubelet.runtime import Image, Images, RuntimeFailure
from pinnace.machinery import durations
from pinnace.machinery.errors import ApiError

_FIRST_SECONDS, _MOST_SECONDS = 10.0, 300.0
# Takes type, reason and message of an event about the container.
Tell = Callable[[str, str, str], None]


class ImageUnavailable(Exception):
    """There is no image; `reason` is the container's waiting reason, `retry_seconds` when to try again."""

    def __init__(self, reason: str, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.reason, self.retry_seconds = reason, retry_seconds


class _Failure(Struct, frozen=True):
    at: float
    delay_seconds: float
    text: str


class ImageManager:
    """The images of all pods of one node."""

    def __init__(self, images: Images, source: Source, clock: Clock) -> None:
        self._images, self._source, self._clock = images, source, clock
        self._failures: dict[tuple[str, str], _Failure] = {}
        self._turn = asyncio.Lock()
        # When each image was last asked for, by its ID.
        self._used: dict[str, float] = {}

    async def ensure(self, pod: core_v1.Pod, container: core_v1.Container, tell: Tell) -> Image:
        """Return the image of a container, fetched if need be.

        Raises:
            ImageUnavailable: it cannot be had now.
        """
        name = container.image
        try:
            repository(name)
        except InvalidName as error:
            text = f'Failed to apply default image tag "{name}": {error}'
            tell("Warning", "InspectFailed", text)
            tell("Warning", "Failed", "Error: InvalidImageName")
            raise ImageUnavailable("InvalidImageName", text, _FIRST_SECONDS) from error
        found = await self._ensure(pod, container, tell)
        self._used[found.id] = self._clock.monotonic()
        return found

    def last_used(self, image_id: str) -> float | None:
        """Return when an image was last asked for, on the monotonic clock; None when never since the agent began."""
        return self._used.get(image_id)

    def forget(self, uid: str) -> None:
        """Drop the failures of a pod that is gone."""
        self._failures = {key: value for key, value in self._failures.items() if key[0] != uid}

    async def _ensure(self, pod: core_v1.Pod, container: core_v1.Container, tell: Tell) -> Image:
        name = container.image
        present = await self._present(name)
        policy = container.image_pull_policy or "IfNotPresent"
        if present is not None and policy != "Always":
            text = f'Container image "{name}" already present on machine and can be accessed by the pod'
            tell("Normal", "Pulled", text)
            return present
        if policy == "Never":
            text = f'Container image "{name}" is not present with pull policy of Never'
            tell("Warning", "ErrImageNeverPull", text)
            tell("Warning", "Failed", "Error: ErrImageNeverPull")
            raise ImageUnavailable("ErrImageNeverPull", text, _FIRST_SECONDS)
        self._check_backoff((pod.metadata.uid, name), tell)
        return await self._pull(pod, name, tell)

    def _check_backoff(self, key: tuple[str, str], tell: Tell) -> None:
        failure, now = self._failures.get(key), self._clock.monotonic()
        if failure is None or now >= failure.at + failure.delay_seconds:
            return
        tell("Normal", "BackOff", f'Back-off pulling image "{key[1]}"')
        tell("Warning", "Failed", "Error: ImagePullBackOff")
        text = f'Back-off pulling image "{key[1]}": ErrImagePull: {failure.text}'
        raise ImageUnavailable("ImagePullBackOff", text, failure.at + failure.delay_seconds - now)

    async def _pull(self, pod: core_v1.Pod, name: str, tell: Tell) -> Image:
        key = (pod.metadata.uid, name)
        tell("Normal", "Pulling", f'Pulling image "{name}"')
        secrets = await self._secrets(pod, tell)
        asked = self._clock.monotonic()
        try:
            async with self._turn:
                begun = self._clock.monotonic()
                found = await self._fetch(name, secrets)
        except RuntimeFailure as error:
            self._note_failure(key, str(error))
            tell("Warning", "Failed", f'Failed to pull image "{name}": {error}')
            tell("Warning", "Failed", "Error: ErrImagePull")
            # Looked at again soon, so that the back-off shows.
            raise ImageUnavailable("ErrImagePull", str(error), 1.0) from error
        self._failures.pop(key, None)
        now = self._clock.monotonic()
        took, whole = durations.show(now - begun), durations.show(now - asked)
        text = f'Successfully pulled image "{name}" in {took} ({whole} including waiting).'
        tell("Normal", "Pulled", f"{text} Image size: {found.size_bytes} bytes.")
        return found

    async def _fetch(self, name: str, secrets: Sequence[core_v1.Secret]) -> Image:
        """Pull with one credential after the other, anonymously when there is none."""
        failures = []
        for credential in credentials(name, secrets) or (None,):
            try:
                await self._images.pull(name, credential)
                break
            except RuntimeFailure as error:
                failures.append(error)
        else:
            texts = dict.fromkeys(str(failure) for failure in failures)
            raise RuntimeFailure(next(iter(texts)) if len(texts) == 1 else f"[{', '.join(texts)}]")
        found = await self._images.image(name)
        if found is None:
            raise RuntimeFailure(f'image "{name}" is not there after its pull')
        return found

    async def _secrets(self, pod: core_v1.Pod, tell: Tell) -> list[core_v1.Secret]:
        found, missing = [], []
        for ref in pod.spec.image_pull_secrets or ():
            try:
                found.append(await self._source.secret(pod.metadata.namespace, ref.name))
            except ApiError:
                missing.append(ref.name)
        if missing:
            names = ", ".join(missing)
            text = (
                f"Unable to retrieve some image pull secrets ({names}); attempting to pull the image may not succeed."
            )
            tell("Warning", "FailedToRetrieveImagePullSecret", text)
        return found

    def _note_failure(self, key: tuple[str, str], text: str) -> None:
        now, failure = self._clock.monotonic(), self._failures.get(key)
        quiet = failure is not None and now - failure.at > 2 * _MOST_SECONDS
        delay = min(failure.delay_seconds * 2, _MOST_SECONDS) if failure and not quiet else _FIRST_SECONDS
        self._failures[key] = _Failure(now, delay, text)

    async def _present(self, name: str) -> Image | None:
        try:
            return await self._images.image(name)
        except RuntimeFailure as error:
            text = f'Failed to inspect image "{name}": {error}'
            raise ImageUnavailable("ImageInspectError", text, _FIRST_SECONDS) from error
