"""Who runs on a data folder: the lock that the server holds while it lives, and what it says of itself beside it.

    free ──`pinnace up` takes it──▶ held by both ──`up` has ended──▶ held by the server ──it ends, or is killed──▶ free

The lock decides; the files are worth nothing without it. `up` takes it before there is a server and hands it on, so that at no moment
a second one, or `delete`, believes itself alone. A killed server holds it for the moment that its end takes: whoever wants to rely on
a server also asks it something (`answers`).
"""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from pinnace.cluster.paths import ClusterPaths

# States of a process that has ended, and the bit of a signal that ends it in its set of those to come (proc_pid_status(5)).
_ENDED = frozenset("ZX")
_KILLED = 1 << (signal.SIGKILL - 1)
# Seconds that a server on this machine has to say that it lives.
ANSWER_LIMIT_SECONDS = 3.0


class ClusterError(Exception):
    """A cluster that cannot start; the text says what, why, and what to do."""


class JoinError(ClusterError):
    """A machine cannot join a cluster; the text says why, and what to do."""


class ServerState(Struct, frozen=True):
    """What a running server leaves for the commands to find.

    `note` is what its user should know, `pod_range` holds all pods, and `join_url` is where other machines find the server.
    """

    pid: int
    server: str
    version: str
    node: str = ""
    note: str = ""
    pod_range: str = ""
    join_url: str = ""


@contextmanager
def locked(paths: ClusterPaths, inherited: int | None = None) -> Iterator[int]:
    """Hold the lock of a data folder; gives its descriptor, `inherited` from the command that started this process or a new one.

    Raises:
        ClusterError: another process holds it.
    """
    descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) if inherited is None else inherited
    # What this process starts must not hold it.
    os.set_inheritable(descriptor, False)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError(f"a server already runs on {paths.root}: stop it with `pinnace down`") from None
        yield descriptor
    finally:
        os.close(descriptor)


def sign(descriptor: int) -> None:
    """Say in the lock that this process is the server."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def server_process(paths: ClusterPaths) -> int | None:
    """Return the process that is the server, or on its way to be one; None when there is none, or none that says so yet."""
    if not is_locked(paths):
        return None
    try:
        pid = int(paths.lock.read_text())
        # What a process of the past wrote may be the number of another one today.
        return pid if _has_open(pid, paths.lock.stat()) else None
    except (OSError, ValueError):
        return None


def has_living_holder(paths: ClusterPaths) -> bool:
    """Tell whether the process that signed the lock last goes on living: it is there, and not on its way out of a kill."""
    try:
        status = Path(f"/proc/{int(paths.lock.read_text())}/status").read_text()
    except (OSError, ValueError):
        return False
    said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return said["State"][:1] not in _ENDED and not int(said["ShdPnd"], 16) & _KILLED


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    for entry in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - a path for each of hundreds is not needed
        # It opens and closes others at any time.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{entry}"), wanted):  # noqa: PTH116 - as above
                return True
    return False


def is_locked(paths: ClusterPaths) -> bool:
    """Tell whether a server runs on a data folder; looking leaves no trace in it."""
    if not paths.lock.exists():
        return False
    try:
        with locked(paths):
            return False
    except ClusterError:
        return True
    except FileNotFoundError:
        return False


@contextmanager
def announced(paths: ClusterPaths, state: ServerState) -> Iterator[None]:
    """Tell the commands about a server while the body runs."""
    temporary = paths.state.with_suffix(".new")
    temporary.write_bytes(msgspec.json.encode(state))
    temporary.replace(paths.state)
    try:
        yield
    finally:
        paths.state.unlink(missing_ok=True)


def running_state(paths: ClusterPaths) -> ServerState | None:
    """Return what the running server says of itself, None when none runs or it is still starting."""
    if not is_locked(paths):
        return None
    try:
        return msgspec.json.decode(paths.state.read_bytes(), type=ServerState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def answers(state: ServerState) -> bool:
    """Tell whether a server says that it lives; who it is was settled by the lock, and nothing secret is sent."""
    # A twentieth of a command's time, and most commands find no server to ask, or need no answer.
    import http.client  # noqa: PLC0415
    import ssl  # noqa: PLC0415

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        urlsplit(state.server).netloc, context=context, timeout=ANSWER_LIMIT_SECONDS
    )
    with suppress(OSError, http.client.HTTPException):
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()
    return False
