"""Makes sure that a container's image is on the node, by its pull policy, with back-off after failures.

Upstream: kubelet `images/image_manager.go`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pinnace.api import core_v1
from pinnace.component.clock import Clock
from pinnace.kubelet.runtime import Image, Images, RuntimeFailure

_FIRST_SECONDS, _MOST_SECONDS = 10.0, 300.0


class ImageUnavailable(Exception):
    """There is no image; `reason` is the container's waiting reason, `retry_seconds` when to try again."""

    def __init__(self, reason: str, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.reason, self.retry_seconds = reason, retry_seconds


@dataclass(frozen=True, slots=True)
class _Failure:
    at: float
    delay_seconds: float
    text: str


class ImageManager:
    """The images of all pods of one node."""

    def __init__(self, images: Images, clock: Clock) -> None:
        self._images, self._clock = images, clock
        self._failures: dict[tuple[str, str], _Failure] = {}

    async def ensure(
        self, pod: core_v1.Pod, container: core_v1.Container, event: Callable[[str, str, str], None]
    ) -> Image:
        """Return the image of a container, fetched if need be; `event` takes type, reason and message.

        Raises:
            ImageUnavailable: it cannot be had now.
        """
        name = container.image
        present = await self._present(name)
        policy = container.image_pull_policy or "IfNotPresent"
        if present is not None and policy != "Always":
            event(
                "Normal",
                "Pulled",
                f'Container image "{name}" already present on machine and can be accessed by the pod',
            )
            return present
        if policy == "Never":
            text = f'Container image "{name}" is not present with pull policy of Never'
            event("Warning", "ErrImageNeverPull", text)
            event("Warning", "Failed", "Error: ErrImageNeverPull")
            raise ImageUnavailable("ErrImageNeverPull", text, 10.0)
        return await self._pull((pod.metadata.uid, name), event)

    def forget(self, uid: str) -> None:
        """Drop the failures of a pod that is gone."""
        self._failures = {key: value for key, value in self._failures.items() if key[0] != uid}

    async def _pull(self, key: tuple[str, str], event: Callable[[str, str, str], None]) -> Image:
        name, failure, now = key[1], self._failures.get(key), self._clock.monotonic()
        if failure is not None and now < failure.at + failure.delay_seconds:
            event("Normal", "BackOff", f'Back-off pulling image "{name}"')
            event("Warning", "Failed", "Error: ImagePullBackOff")
            text = f'Back-off pulling image "{name}": ErrImagePull: {failure.text}'
            raise ImageUnavailable("ImagePullBackOff", text, failure.at + failure.delay_seconds - now)
        event("Normal", "Pulling", f'Pulling image "{name}"')
        try:
            await self._images.pull(name, "", "")
            found = await self._present(name)
            if found is None:
                raise RuntimeFailure(f'image "{name}" is not there after its pull')  # noqa: TRY301 - one way to fail
        except RuntimeFailure as error:
            later = self._clock.monotonic()
            quiet = failure is not None and later - failure.at > 2 * _MOST_SECONDS
            delay = min(failure.delay_seconds * 2, _MOST_SECONDS) if failure and not quiet else _FIRST_SECONDS
            self._failures[key] = _Failure(later, delay, str(error))
            event("Warning", "Failed", f'Failed to pull image "{name}": {error}')
            event("Warning", "Failed", "Error: ErrImagePull")
            # Looked at again soon, so that the back-off shows.
            raise ImageUnavailable("ErrImagePull", str(error), 1.0) from error
        self._failures.pop(key, None)
        took = self._clock.monotonic() - now
        event(
            "Normal",
            "Pulled",
            f'Successfully pulled image "{name}" in {took:.3f}s ({took:.3f}s including waiting). '
            f"Image size: {found.size_bytes} bytes.",
        )
        return found

    async def _present(self, name: str) -> Image | None:
        try:
            return await self._images.image(name)
        except RuntimeFailure as error:
            raise ImageUnavailable("ImageInspectError", f'Failed to inspect image "{name}": {error}', 10.0) from error
