"""Exec and attach, server side: negotiation of WebSocket or SPDY/3.1, and of the version spoken over it.

`serve_remote_command` returns the answer to a request; the caller gives a function that runs the command over the
`CommandStreams` it is handed. Over WebSocket: `v5.channel.k8s.io` (with half-close), v4, the first version, their base64 twins, and none
at all; over SPDY: v4 to v1. When the client goes away before the command has ended, that function is cancelled.
Invariant: the connection is closed when the command has ended, in whatever way, and the error channel has told how.
Upstream: k8s.io/kubelet `pkg/cri/streaming/remotecommand`.
"""

from pinnace.component.http import websocket
from pinnace.component.http.message import DuplexStream, Headers, Request, Response, Upgrade
from pinnace.component.http.streams.command import (
    INTERNAL_ERROR,
    CommandFailed,
    CommandOptions,
    CommandStreams,
    Outcome,
    Run,
    TerminalSize,
)
from pinnace.component.http.streams.spdy_command import run_spdy
from pinnace.component.http.streams.websocket_command import WEBSOCKET_PROTOCOLS, run_websocket

__all__ = [
    "INTERNAL_ERROR",
    "CommandFailed",
    "CommandOptions",
    "CommandStreams",
    "Outcome",
    "Run",
    "TerminalSize",
    "is_spdy",
    "negotiate_spdy",
    "parse_options",
    "serve_remote_command",
]

# In order of preference; a client that only knows the first version says so by its old name.
SPDY_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
PROTOCOL_HEADER = "X-Stream-Protocol-Version"
ACCEPTED_HEADER = "X-Accepted-Stream-Protocol-Versions"


def parse_options(request: Request) -> CommandOptions | Response:
    """Read the kubelet's parameters (`input`, `output`, `error`, `tty`, `command`), or return the refusal."""

    def wanted(name: str) -> bool:
        return request.param(name) in {"1", "true"}

    tty = wanted("tty")
    options = CommandOptions(
        command=tuple(request.params.get("command", ())),
        stdin=wanted("input"),
        stdout=wanted("output"),
        # A terminal has one output.
        stderr=wanted("error") and not tty,
        tty=tty,
    )
    if not (options.stdin or options.stdout or options.stderr):
        return _text(400, "you must specify at least 1 of stdin, stdout, stderr")
    return options


async def serve_remote_command(request: Request, options: CommandOptions, run: Run) -> Response | Upgrade:
    """Answer an exec or attach request: an upgrade that calls `run`, or a refusal."""
    if websocket.is_websocket(request):
        handshake = websocket.accept(request, WEBSOCKET_PROTOCOLS)
        if isinstance(handshake, Response):
            return handshake
        protocol = handshake.protocol

        async def over_websocket(stream: DuplexStream) -> None:
            await run_websocket(stream, protocol, options, run)

        return Upgrade(handshake.headers, over_websocket)
    if not is_spdy(request):
        return _text(400, "Upgrade request required")
    accepted = negotiate_spdy(request, SPDY_PROTOCOLS)
    if isinstance(accepted, Response):
        return accepted
    version = accepted.get(PROTOCOL_HEADER)

    async def over_spdy(stream: DuplexStream) -> None:
        await run_spdy(stream, version, options, run)

    return Upgrade(accepted, over_spdy)


def is_spdy(request: Request) -> bool:
    """Tell whether a request asks for SPDY/3.1."""
    headers = request.headers
    wants_upgrade = any("upgrade" in value.lower() for value in headers.get_all("Connection"))
    return wants_upgrade and any("spdy/3.1" in value.lower() for value in headers.get_all("Upgrade"))


def negotiate_spdy(request: Request, protocols: tuple[str, ...]) -> Headers | Response:
    """Return the headers of the 101 with the first offered protocol that is known, or the refusal."""
    offered = request.headers.tokens(PROTOCOL_HEADER)
    if not offered:
        return _text(400, f"upgrade request needs the header {PROTOCOL_HEADER}")
    chosen = next((name for name in offered if name in protocols), None)
    if chosen is None:
        refusal = _text(403, f"unable to upgrade: unable to negotiate protocol: client supports {list(offered)}")
        accepted = [(ACCEPTED_HEADER, name) for name in protocols]
        return Response(refusal.status, refusal.headers.extended(*accepted), refusal.body)
    return Headers([("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), (PROTOCOL_HEADER, chosen)])


def _text(status: int, text: str) -> Response:
    return Response(status, Headers({"Content-Type": "text/plain; charset=utf-8"}), text.encode() + b"\n")
