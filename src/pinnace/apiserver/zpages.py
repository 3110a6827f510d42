"""Pages about a running server: /statusz says what it is and since when, /flagz what it was told.

For people they are text, for which upstream promises no form and varies what stands between name and value; here it is always the
same. Programs ask for an object of config.k8s.io by version and kind, and get JSON or YAML. Invariant: both forms of a page say the
same. Upstream: apiserver `server/{statusz,flagz}`, their `negotiate` and `api/v1beta1`.
"""

import platform
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.endpoints.negotiation import (
    JSON,
    ONLY_ACCEPTED,
    REPRESENTATIONS,
    YAML,
    Clause,
    Output,
    clauses,
    is_pretty,
)
from pinnace.apiserver.endpoints.responses import respond, respond_error, tree_bytes
from pinnace.component.clock import Clock
from pinnace.component.http import Headers, Request, Response
from pinnace.machinery import durations, timestamps
from pinnace.machinery.errors import NotAcceptable

_COMPONENT = "kube-apiserver"
_WARNING = (
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for "
    "debugging purposes only."
)
_TEXT = "text/plain"
_TEXT_HEADERS = Headers({"Content-Type": "text/plain; charset=utf-8"})
_GROUP = "config.k8s.io"
_OLD_VERSION = "v1alpha1"
_VERSIONS = frozenset({_OLD_VERSION, "v1beta1"})
# First segments of paths that say nothing about how the server is.
_OF_THE_API = frozenset({"", "apis", "api", "openid", "openapi", ".well-known"})
# A duration that upstream's flag takes as a number of seconds.
_PLAIN_SECONDS = frozenset({"min_request_timeout_seconds"})


class _Page(Struct, frozen=True):
    """What a page says, as lines and as the fields of an object."""

    kind: str
    lines: Iterable[str]
    fields: Mapping[str, Any]


class Pages:
    """The two pages of one server."""

    def __init__(self, config: ApiServerConfig, clock: Clock, version: str) -> None:
        self._flags = dict(sorted(_flag(name, value) for name, value in msgspec.structs.asdict(config).items()))
        self._clock = clock
        self._version = version.removeprefix("v")
        self._started = clock.time()

    @property
    def started_unix(self) -> str:
        """Return the second at which the server was made, as scrapes carry it."""
        return str(int(self._started))

    def statusz(self, request: Request, paths: Iterable[str]) -> Response:
        """Answer what runs here, since when, and where to look further: the first segments of the paths that it lists."""
        up = int(self._clock.time() - self._started)
        roots = [f"/{first}" for first in sorted({path.split("/")[1] for path in paths} - _OF_THE_API)]
        runtime = f"none, Python {platform.python_version()}"
        lines = (
            "",
            f"Started: {time.strftime('%a %b %e %H:%M:%S UTC %Y', time.gmtime(self._started))}",
            f"Up: {up // 3600} hr {up // 60 % 60:02d} min {up % 60:02d} sec",
            f"Go version: {runtime}",
            f"Binary version: {self._version}",
            "Emulation version: 1.36",
            f"Paths: {' '.join(roots)}",
        )
        fields = {
            "startTime": timestamps.format(self._started),
            "uptimeSeconds": up,
            "goVersion": runtime,
            "binaryVersion": self._version,
            "emulationVersion": "1.36",
            "paths": roots,
        }
        return _answer(request, _Page("Statusz", lines, fields))

    def flagz(self, request: Request) -> Response:
        """Answer what the server was told, under upstream's names of flags."""
        lines = (f"{name}={value}" for name, value in self._flags.items())
        return _answer(request, _Page("Flagz", lines, {"flags": self._flags}))


def _answer(request: Request, page: _Page) -> Response:
    accept = request.headers.get("Accept").strip()
    if not accept:
        return _as_text(page)
    for clause in clauses(accept):
        asked = tuple(clause.param(name) for name in ("g", "v", "as"))
        if any(asked):
            media_type = next((one for one in (JSON, YAML) if _covers(clause, one)), "")
            if media_type and asked[0] == _GROUP and asked[1] in _VERSIONS and asked[2] == page.kind:
                return _as_object(request, page, asked[1], Output(media_type, is_pretty(request)))
        elif _covers(clause, _TEXT):
            return _as_text(page)
    return respond_error(request, NotAcceptable(f"{ONLY_ACCEPTED}{REPRESENTATIONS}, {_TEXT}"))


def _covers(clause: Clause, media_type: str) -> bool:
    kind, _, subtype = media_type.partition("/")
    return clause.type in {kind, "*"} and clause.subtype in {subtype, "*"}


def _as_text(page: _Page) -> Response:
    text = "\n".join(("", f"{_COMPONENT} {page.kind.lower()}", _WARNING, *page.lines, ""))
    return Response(200, _TEXT_HEADERS, text.encode())


def _as_object(request: Request, page: _Page, version: str, output: Output) -> Response:
    head = {"kind": page.kind, "apiVersion": f"{_GROUP}/{version}", "metadata": {"name": _COMPONENT}}
    text = f"This version of the {page.kind.lower()} endpoint is deprecated. Please use a newer version."
    warnings = [text] if version == _OLD_VERSION else []
    return respond(request, tree_bytes({**head, **page.fields}), output, warnings=warnings)


def _flag(name: str, value: object) -> tuple[str, str]:
    """Return a setting as a flag: its name, and what Go would print of its value."""
    if isinstance(value, bool):
        shown = "true" if value else "false"
    elif name == "service_node_port_range":
        assert isinstance(value, tuple)
        shown = "-".join(map(str, value))
    elif isinstance(value, tuple):
        shown = f"[{','.join(value)}]"
    elif isinstance(value, float):
        shown = f"{value:g}" if name in _PLAIN_SECONDS else durations.show(value)
    else:
        shown = str(value)
    return name.removesuffix("_seconds").replace("_", "-"), shown
