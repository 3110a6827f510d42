"""Ports to listen on."""

import socket

# Upstream's ports of the API server and of the node agent.
API_PORT, KUBELET_PORT = 6443, 10250


def free_port(wanted: int = 0) -> int:
    """Return a port if nobody listens on it, else a free one; 0 asks for any free one.

    Whoever listens next may still come too late, and is then told so.
    """
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - where the server will listen
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted
