"""Health: named checks behind /livez, /readyz, /healthz and their sub-paths.

The texts are those that kubectl and probes read: `ok`, or one line per check with `[+]` or `[-]`. Reasons of failures are logged,
never sent, since anonymous callers read this. Upstream: apiserver `server/healthz`.
"""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from pinnace.component.http.message import Headers, Request, Response
from pinnace.component.logging import get_logger

_TEXT = Headers({"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"})
_log = get_logger("healthz")


class Check(Struct, frozen=True):
    """One check: a name, and a function that returns why it fails, or an empty text."""

    name: str
    failure: Callable[[], Awaitable[str]]


async def _no_failure() -> str:
    return ""


PING = Check("ping", _no_failure)


class HealthChecks:
    """The checks of one path family, in the order in which they are printed."""

    def __init__(
        self,
        path: str,
        checks: Sequence[Check] = (PING,),
        on_result: Callable[[str, bool], None] = lambda name, passed: None,  # noqa: ARG005
    ) -> None:
        """Answer below `path`, such as `/readyz`; `on_result` is told how each check that was made went."""
        self._path = path
        self._checks = list(checks)
        self._on_result = on_result

    @property
    def names(self) -> tuple[str, ...]:
        """The checks there are."""
        return tuple(check.name for check in self._checks)

    def add(self, check: Check) -> None:
        """Add a check behind the others; names must differ.

        Raises:
            ValueError: the name is taken.
        """
        if any(check.name == other.name for other in self._checks):
            raise ValueError(f"health check {check.name} exists already")
        self._checks.append(check)

    async def failures(self) -> dict[str, str]:
        """Return the checks that fail now: name → reason."""
        return {check.name: reason for check in self._checks if (reason := await self._run(check))}

    async def handle(self, request: Request) -> Response:
        """Answer a probe: the whole family, or one check by its name below the path."""
        rest = request.path[len(self._path) :].strip("/")
        if rest:
            return await self._one(rest)
        excluded = set(request.params.get("exclude", ()))
        unknown = excluded - {check.name for check in self._checks}
        lines: list[str] = []
        failed: list[str] = []
        for check in self._checks:
            if check.name in excluded:
                lines.append(f"[+]{check.name} excluded: ok")
            elif reason := await self._run(check):
                failed.append(check.name)
                lines.append(f"[-]{check.name} failed: reason withheld")
                _log.warning("health check failed", path=self._path, check=check.name, reason=reason)
            else:
                lines.append(f"[+]{check.name} ok")
        if unknown:
            quoted = ", ".join(f'"{name}"' for name in sorted(unknown))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
        family = self._path.strip("/")
        if failed:
            return Response(500, _TEXT, ("\n".join([*lines, f"{family} check failed"]) + "\n").encode())
        if "verbose" in request.params:
            return Response(200, _TEXT, ("\n".join([*lines, f"{family} check passed"]) + "\n").encode())
        return Response(200, _TEXT, b"ok")

    async def _one(self, name: str) -> Response:
        for check in self._checks:
            if check.name == name:
                if reason := await self._run(check):
                    _log.warning("health check failed", path=self._path, check=name, reason=reason)
                    return Response(500, _TEXT, b"internal server error: reason withheld\n")
                return Response(200, _TEXT, b"ok")
        return Response(404, _TEXT, b"404 page not found\n")

    async def _run(self, check: Check) -> str:
        try:
            reason = await check.failure()
        except Exception as error:  # noqa: BLE001 - a check that breaks has failed, and the others are still to be reported
            reason = f"{type(error).__name__}: {error}"
        self._on_result(check.name, not reason)
        return reason
