"""Hooks of containers: commands, requests and pauses around their start and stop. Upstream: kubelet `lifecycle/handlers.go`."""

from pinnace.api import core_v1
from pinnace.component.clock import Clock
from pinnace.kubelet.pod_network import HttpCall, PodNetwork
from pinnace.kubelet.runtime import RuntimeFailure, Streams


class HookFailed(Exception):
    """A hook did not succeed."""


class Handlers:
    """Runs hooks."""

    def __init__(self, streams: Streams, network: PodNetwork, clock: Clock) -> None:
        self._streams, self._network, self._clock = streams, network, clock

    async def run(
        self, hook: core_v1.LifecycleHandler, container: core_v1.Container, container_id: str, ips: tuple[str, ...]
    ) -> None:
        """Run one hook to its end.

        Raises:
            HookFailed: it failed, or is of a kind that hooks cannot be.
        """
        if hook.sleep is not None:
            await self._clock.sleep(hook.sleep.seconds)
        elif hook.exec is not None:
            try:
                done = await self._streams.execute(container_id, hook.exec.command, 0)
            except RuntimeFailure as error:
                raise HookFailed(str(error)) from error
            if done.exit_code:
                raise HookFailed(f"command ended with {done.exit_code}")
        elif hook.http_get is not None:
            await self._request(hook.http_get, container, ips)
        else:
            raise HookFailed("no handler that a hook can have")

    async def _request(self, action: core_v1.HTTPGetAction, container: core_v1.Container, ips: tuple[str, ...]) -> None:
        given = [(item.name, item.value) for item in action.http_headers]
        call = HttpCall(
            host=action.host or (ips[0] if ips else ""),
            port=port_number(action.port, container),
            path=action.path or "/",
            secure=action.scheme == "HTTPS",
            headers=(("User-Agent", "kube-lifecycle/1.36"), *given),
        )
        try:
            await self._network.get(call)
        except OSError as error:
            raise HookFailed(str(error)) from error


def port_number(port: int | str, container: core_v1.Container) -> int:
    """Return a port that may be given by its name."""
    if isinstance(port, int):
        return port
    return next(
        (item.container_port for item in container.ports if item.name == port), int(port) if port.isdigit() else 0
    )
