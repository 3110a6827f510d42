"""Pages for people who look at a running server: /statusz says what it is and since when, /flagz what it was told.

Upstream promises no form for them and varies what stands between name and value; here it is always the same. Its structured form (group
config.k8s.io) is not served. Upstream: component-base `zpages/{statusz,flagz,httputil}`.
"""

import platform
import time
from collections.abc import Iterable

import msgspec

from pinnace.apiserver.config import ApiServerConfig
from pinnace.component.clock import Clock
from pinnace.component.http import Headers, Request, Response

_WARNING = (
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for "
    "debugging purposes only."
)
_TEXT = Headers({"Content-Type": "text/plain; charset=utf-8"})
_ACCEPTED = frozenset({"*/*", "text/*", "text/plain"})


class Pages:
    """The two pages of one server."""

    def __init__(self, config: ApiServerConfig, clock: Clock, version: str) -> None:
        self._config = config
        self._clock = clock
        self._version = version
        self._started = clock.time()

    @property
    def started_unix(self) -> str:
        """Return the second at which the server was made, as scrapes carry it."""
        return str(int(self._started))

    def statusz(self, request: Request, paths: Iterable[str]) -> Response:
        """Answer what runs here, since when, and the first segments of the paths that it lists."""
        up = int(self._clock.time() - self._started)
        roots = sorted({f"/{path.split('/')[1]}" for path in paths})
        lines = (
            f"Started: {time.strftime('%a %b %e %H:%M:%S UTC %Y', time.gmtime(self._started))}",
            f"Up: {up // 3600} hr {up // 60 % 60:02d} min {up % 60:02d} sec",
            f"Go version: none, Python {platform.python_version()}",
            f"Binary version: {self._version}",
            "Emulation version: 1.36",
            f"Paths: {' '.join(roots)}",
        )
        return _page(request, "statusz", lines)

    def flagz(self, request: Request) -> Response:
        """Answer what the server was told, under upstream's names of flags."""
        return _page(request, "flags", sorted(map(_flag, msgspec.structs.asdict(self._config).items())))


def _page(request: Request, title: str, lines: Iterable[str]) -> Response:
    wanted = request.headers.get("Accept")
    if wanted and not any(clause.partition(";")[0].strip() in _ACCEPTED for clause in wanted.split(",")):
        return Response(406, _TEXT, b"media type not acceptable, must be: text/plain\n")
    text = "\n".join(("", f"kube-apiserver {title}", _WARNING, "", *lines, ""))
    return Response(200, _TEXT, text.encode())


def _flag(setting: tuple[str, object]) -> str:
    name, value = setting
    flag = name.removesuffix("_seconds").replace("_", "-")
    if isinstance(value, bool):
        shown = "true" if value else "false"
    elif name == "service_node_port_range":
        assert isinstance(value, tuple)
        shown = "-".join(map(str, value))
    elif isinstance(value, tuple):
        shown = f"[{','.join(value)}]"
    elif isinstance(value, float):
        shown = f"{value:g}s"
    else:
        shown = str(value)
    return f"{flag}={shown}"
