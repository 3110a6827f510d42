"""A command's streams, as its runner sees them, and how its end is told; the same over every protocol.

Upstream: apimachinery `remotecommand/constants.go`, client-go `tools/remotecommand/errorstream.go` (which reads what is written here).
"""

import asyncio
import contextlib
import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from pinnace.component.http.errors import ProtocolError
from pinnace.component.logging import get_logger

# Seconds that a client has to say goodbye once it has been told how the command ended.
GOODBYE_SECONDS = 5.0
# Characters of terminal-size documents that may wait for their end.
_RESIZE_LIMIT = 4096
_log = get_logger("remote-command")


class CommandFailed(Exception):
    """Raised by a command's runner when it could not be run to an exit code; the text is shown to the user as it is."""


# How the text of every internal error begins.
INTERNAL_ERROR = "Internal error occurred: "


class TerminalSize(Struct, frozen=True):
    """The client's terminal, in characters."""

    width: int
    height: int


class CommandOptions(Struct, frozen=True):
    """Which streams a client wants; `command` is empty for attach."""

    command: tuple[str, ...] = ()
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


class CommandStreams(Protocol):
    """What a running command reads and writes; given to its runner."""

    options: CommandOptions

    @abstractmethod
    async def read_stdin(self) -> bytes:
        """Return the next input, empty at its end (at once when the client sends none)."""

    @abstractmethod
    async def write_stdout(self, data: bytes) -> None:
        """Send output, waiting while the client is slow; dropped when the client did not ask for it."""

    @abstractmethod
    async def write_stderr(self, data: bytes) -> None:
        """Send error output; with a terminal there is none, it belongs into stdout."""

    @abstractmethod
    def resizes(self) -> AsyncIterator[TerminalSize]:
        """Yield the sizes of the client's terminal until it is gone; the first comes soon after the start."""


# Runs the command and returns its exit code; cancelled when the client goes away.
Run: TypeAlias = Callable[[CommandStreams], Awaitable[int]]


class Outcome(Struct, frozen=True):
    """How a command ended: with an exit code, or with the reason why it has none."""

    exit_code: int = 0
    failure: str = ""

    def status_json(self, command: tuple[str, ...], *, translated: bool = False) -> bytes:
        """Return the Status for the error channel of version 4 and later.

        Upstream translates version 5 to version 4 on the way, which wraps failures once more and tells exit codes in other words.
        """
        if self.failure:
            failure = f"{INTERNAL_ERROR}{self.failure}" if translated else self.failure
            status: dict[str, Any] = {
                "metadata": {},
                "status": "Failure",
                "message": f"{INTERNAL_ERROR}{failure}",
                "reason": "InternalError",
                "details": {"causes": [{"message": failure}]},
                "code": 500,
            }
        elif self.exit_code:
            status = {
                "metadata": {},
                "status": "Failure",
                "message": self._exit_text(command, translated=translated),
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": str(self.exit_code)}]},
            }
        else:
            status = {"metadata": {}, "status": "Success"}
        return json.dumps(status, separators=(",", ":"), ensure_ascii=False).encode()

    def status_text(self, command: tuple[str, ...]) -> bytes:
        """Return what the error channel says before version 4: nothing after success."""
        if self.failure:
            return self.failure.encode()
        return self._exit_text(command).encode() if self.exit_code else b""

    def _exit_text(self, command: tuple[str, ...], *, translated: bool = False) -> str:
        cause = (
            f"command terminated with exit code {self.exit_code}"
            if translated
            else f"error executing command [{' '.join(command)}], exit code {self.exit_code}"
        )
        return f"command terminated with non-zero exit code: {cause}"


class ResizeQueue:
    """Terminal sizes on their way to the command; only the latest matters, so an unread one is replaced."""

    def __init__(self) -> None:
        self._latest: TerminalSize | None = None
        self._changed = asyncio.Event()
        self._ended = False
        self._text = ""

    def feed(self, data: bytes) -> None:
        """Take a piece of a stream of JSON documents.

        Raises:
            ProtocolError: it is no such thing.
        """
        text = (self._text + data.decode("utf-8", "replace")).lstrip()
        while text:
            try:
                document, end = json.JSONDecoder().raw_decode(text)
            except ValueError as error:
                if len(text) > _RESIZE_LIMIT:
                    raise ProtocolError("terminal sizes are no JSON documents") from error
                break
            self._put(document)
            text = text[end:].lstrip()
        self._text = text

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            latest, self._latest = self._latest, None
            if latest is not None:
                yield latest
            if self._ended and self._latest is None:
                return

    def _put(self, document: object) -> None:
        if not isinstance(document, dict):
            raise ProtocolError("a terminal size is no object")
        width, height = document.get("Width"), document.get("Height")
        if not isinstance(width, int) or not isinstance(height, int):
            raise ProtocolError("a terminal size needs Width and Height")
        if not (0 <= width < 65536 and 0 <= height < 65536):
            raise ProtocolError("a terminal size is out of range")
        self._latest = TerminalSize(width, height)
        self._changed.set()


async def run_command(
    run: Run,
    streams: CommandStreams,
    receive: Callable[[], Coroutine[Any, Any, None]],
    finish: Callable[[Outcome], Awaitable[None]],
) -> None:
    """Run a command while `receive` takes what the client sends; tell the outcome by `finish`.

    `receive` ends when the client is gone: the command is cancelled then. After `finish` it goes on for a moment, so that the
    client can answer the goodbye.
    """
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_outcome(run, streams), name="remote command")
        receiving = group.create_task(_receive(receive, running), name="remote command's client")
        await asyncio.wait({running})
        if not running.cancelled():
            with contextlib.suppress(ConnectionError):
                await finish(running.result())
            await asyncio.wait({receiving}, timeout=GOODBYE_SECONDS)
        receiving.cancel()


async def _outcome(run: Run, streams: CommandStreams) -> Outcome:
    try:
        return Outcome(exit_code=await run(streams))
    except CommandFailed as error:
        return Outcome(failure=str(error))
    except Exception as error:  # noqa: BLE001 - the client gets an answer whatever went wrong
        _log.error("remote command failed", exc_info=error)
        return Outcome(failure=f"error executing command in container: {type(error).__name__}")


async def _receive(receive: Callable[[], Coroutine[Any, Any, None]], running: "asyncio.Task[Outcome]") -> None:
    try:
        await receive()
    except (ProtocolError, ConnectionError) as error:
        _log.info("remote command's client broke off", reason=str(error))
    finally:
        running.cancel("the client went away")
