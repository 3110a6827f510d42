"""What Kubernetes sends over upgraded connections, server side: commands (exec, attach) and forwarded ports."""

from pinnace.component.http.streams.portforward import PortForwardFailed, serve_port_forward
from pinnace.component.http.streams.remotecommand import (
    INTERNAL_ERROR,
    CommandFailed,
    CommandOptions,
    CommandStreams,
    Run,
    TerminalSize,
    parse_options,
    serve_remote_command,
)

__all__ = [
    "INTERNAL_ERROR",
    "CommandFailed",
    "CommandOptions",
    "CommandStreams",
    "PortForwardFailed",
    "Run",
    "TerminalSize",
    "parse_options",
    "serve_port_forward",
    "serve_remote_command",
]
