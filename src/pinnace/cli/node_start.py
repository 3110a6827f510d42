"""The start of further nodes, several at a time.

An agent takes a second to import what it needs, and so does the token that lets it in: it is started first, and the token follows through
a pipe. So little is imported here that the agents are on their way before the rest is.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pinnace.cli.process import ServerFailed, runs, start
from pinnace.cluster.containerd_config import missing_for_containers
from pinnace.cluster.further_nodes import FurtherNode, FurtherNodes
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import ClusterError, ServerState, running_state
from pinnace.component.http import HttpError
from pinnace.machinery.errors import ApiError
from pinnace.machinery.names import dns_subdomain

# Seconds that a token for a node on this machine is good.
_TOKEN_SECONDS = 600.0
# What starting and stopping a node fails with; each has a text for its user.
Failed = (ServerFailed, ClusterError, ApiError, HttpError)


def start_nodes(paths: ClusterPaths, nodes: Iterable[FurtherNode]) -> list[ServerState]:
    """Start nodes that do not run; return what each says of itself once it is ready.

    Raises:
        ServerFailed: one does not start; the others do.
        ClusterError: there is no network for them.
        ApiError, HttpError: the cluster gives no token.
    """
    nodes, further, state = list(nodes), FurtherNodes(paths), running_state(paths)
    if not nodes or state is None:
        return []
    for node in nodes:
        node.stopped.unlink(missing_ok=True)
        further.connect(node, state.pod_range)
    with ThreadPoolExecutor(len(nodes)) as pool:
        pipes = [os.pipe() for _ in nodes]
        starting = [
            pool.submit(_start, paths, state.join_url, node, reading)
            for node, (reading, _) in zip(nodes, pipes, strict=True)
        ]
        try:
            token = _token(paths).encode()
        except BaseException:
            token = b""
            raise
        finally:
            for _, writing in pipes:
                with suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
                    pipe.write(token)
        return [started.result() for started in starting]


def _start(paths: ClusterPaths, server: str, node: FurtherNode, token_pipe: int) -> ServerState:
    words = ["agent", "--server", server, "--token-descriptor", str(token_pipe), "--ca", str(paths.pki / "ca.crt")]
    words += ["--node-name", node.name, "--data-dir", str(node.root), "--images", str(paths.root / "images")]
    return start(node.paths, words, within=node.command(), handed_on=token_pipe)


def _token(paths: ClusterPaths) -> str:
    from pinnace.cli.administrator import new_token  # noqa: PLC0415 - heavy, and the agents are on their way

    token, _ = new_token(paths, _TOKEN_SECONDS, "for nodes on the server's machine")
    return token.text


def start_missing(paths: ClusterPaths, wanted: int) -> list[ServerState]:
    """Start the nodes that are there and were not stopped by hand, and new ones until there are `wanted`, the server's counted.

    Raises:
        Failed: one does not start.
    """
    further = FurtherNodes(paths)
    while len(further.all()) + 1 < wanted:
        further.new()
    return start_nodes(paths, [node for node in further.all() if not node.stopped.exists() and not runs(node.paths)])


def add_node(paths: ClusterPaths, name: str) -> str:
    """Make a node and start it; return its name.

    Raises:
        Failed: it does not start, and nothing of it is left.
    """
    if lacking := missing_for_containers():
        raise ClusterError(f"a real node needs {', '.join(lacking)}: see `pinnace doctor`")
    if wrong := dns_subdomain(name) if name else []:
        raise ClusterError(f"{name!r} is no name for a node: {wrong[0]}")
    if name == paths.node_name:
        raise ClusterError(f"{name!r} is the node of the server itself")
    made = FurtherNodes(paths).new(name)
    try:
        start_nodes(paths, [made])
    except BaseException:
        from pinnace.cli.node_processes import remove_nodes  # noqa: PLC0415 - heavy, and seldom needed

        remove_nodes(paths, [made])
        raise
    return made.name


def start_node(paths: ClusterPaths, name: str) -> None:
    """Start a node that does not run.

    Raises:
        Failed: there is none, or it does not start.
    """
    node = FurtherNodes(paths).found(name)
    if not runs(node.paths):
        start_nodes(paths, [node])
