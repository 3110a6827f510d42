"""Whether a container's image is fetched, with whose name, and what is told about it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.component.clock import VirtualClock
from pinnace.kubelet.environment import Source
from pinnace.kubelet.images import ImageManager, ImageUnavailable
from pinnace.kubelet.runtime import Credential, Image, Images, RuntimeFailure
from pinnace.machinery.errors import NotFound


class Registry(Images):
    """Images that are present, and those that a credential opens."""

    def __init__(self, *present: str, opened_by: Credential | None = None) -> None:
        self.present = {name: Image(id=f"id-{name}", size_bytes=7) for name in present}
        self.opened_by = opened_by
        self.shown: list[Credential | None] = []

    async def image(self, name: str) -> Image | None:
        return self.present.get(name)

    async def images(self) -> Sequence[Image]:
        return tuple(self.present.values())

    async def pull(self, name: str, credential: Credential | None) -> str:
        self.shown.append(credential)
        if credential != self.opened_by:
            raise RuntimeFailure("no entry")
        self.present[name] = Image(id=f"id-{name}", size_bytes=7)
        return name

    async def remove_image(self, image_id: str) -> None:
        raise AssertionError("nobody removes images here")


class Secrets(Source):
    """One secret, called `pull`."""

    async def config_map(self, namespace: str, name: str) -> core_v1.ConfigMap:
        raise NotFound(name)

    async def secret(self, namespace: str, name: str) -> core_v1.Secret:
        if name != "pull":
            raise NotFound(name)
        auths = {"auths": {"registry.example": {"username": "me", "password": "open"}}}
        data = {".dockerconfigjson": base64.b64encode(json.dumps(auths).encode()).decode()}
        return core_v1.Secret(type="kubernetes.io/dockerconfigjson", data=data)


class Told:
    """Collects events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def __call__(self, kind: str, reason: str, message: str) -> None:
        self.events.append((reason, message))


def make_pod(*secrets: str) -> core_v1.Pod:
    refs = tuple(core_v1.LocalObjectReference(name=name) for name in secrets)
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(uid="u", namespace="n"), spec=core_v1.PodSpec(image_pull_secrets=refs)
    )


def container(image: str, policy: str = "IfNotPresent") -> core_v1.Container:
    return core_v1.Container(name="c", image=image, image_pull_policy=policy)


@pytest.mark.parametrize(("policy", "pulls"), [("IfNotPresent", 0), ("Never", 0), ("Always", 1)])
async def test_present_image_is_fetched_only_on_demand(policy: str, pulls: int) -> None:
    """An image that is there is taken, unless it is always to be fetched."""
    registry, told = Registry("app:1"), Told()
    await ImageManager(registry, Secrets(), VirtualClock()).ensure(make_pod(), container("app:1", policy), told)
    assert len(registry.shown) == pulls
    assert told.events[-1][0] == "Pulled"


async def test_pull_uses_the_secrets_of_the_pod() -> None:
    """The registry is shown the fitting entry; a secret that is not there is told of and left out."""
    registry, told = Registry(opened_by=Credential("me", "open")), Told()
    manager = ImageManager(registry, Secrets(), VirtualClock())
    await manager.ensure(make_pod("gone", "pull"), container("registry.example/app:1"), told)
    assert registry.shown == [Credential("me", "open")]
    assert [reason for reason, _ in told.events] == ["Pulling", "FailedToRetrieveImagePullSecret", "Pulled"]
    assert "secrets (gone); attempting" in told.events[1][1]
    assert told.events[2][1].endswith("in 0s (0s including waiting). Image size: 7 bytes.")


async def test_failed_pull_backs_off_and_doubles() -> None:
    """After a failure nobody asks the registry for ten seconds, after the next for twenty."""
    clock, registry, told = VirtualClock(), Registry(opened_by=Credential("x", "y")), Told()
    manager = ImageManager(registry, Secrets(), clock)

    async def attempt() -> tuple[str, float]:
        with pytest.raises(ImageUnavailable) as caught:
            await manager.ensure(make_pod(), container("app:1"), told)
        return caught.value.reason, caught.value.retry_seconds

    assert await attempt() == ("ErrImagePull", 1.0)
    assert await attempt() == ("ImagePullBackOff", 10.0)
    await clock.advance(seconds=10)
    assert (await attempt())[0] == "ErrImagePull"
    assert await attempt() == ("ImagePullBackOff", 20.0)
    assert len(registry.shown) == 2


async def test_never_policy_waits_for_the_image_to_appear() -> None:
    """Without the image and without leave to fetch it, the pod says so."""
    told = Told()
    with pytest.raises(ImageUnavailable, match="is not present with pull policy of Never"):
        await ImageManager(Registry(), Secrets(), VirtualClock()).ensure(make_pod(), container("a", "Never"), told)
    assert told.events[0][0] == "ErrImageNeverPull"


async def test_name_that_is_none_is_refused() -> None:
    """Nobody asks a registry for what cannot be a name."""
    registry, told = Registry(), Told()
    with pytest.raises(ImageUnavailable) as caught:
        await ImageManager(registry, Secrets(), VirtualClock()).ensure(make_pod(), container("UPPER"), told)
    assert caught.value.reason == "InvalidImageName"
    assert told.events[0][0] == "InspectFailed"
    assert registry.shown == []
