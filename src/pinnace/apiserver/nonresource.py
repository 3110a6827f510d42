"""The paths beside the resources: health, version, metrics, discovery, OpenAPI, keys of token signing.

Upstream: apiserver `server/routes`, `server/healthz`, `endpoints/discovery`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from pinnace import VERSION as PINNACE_VERSION
from pinnace.api import codec
from pinnace.api.version_info import Info
from pinnace.apiserver.endpoints.responses import page_not_found, respond_error
from pinnace.apiserver.service_account_tokens import TokenIssuer
from pinnace.component.healthz import PING, Check, HealthChecks
from pinnace.component.http import Headers, Request, Response, UserInfo
from pinnace.component.metrics import Metrics
from pinnace.machinery.errors import method_not_allowed, route_not_found

# What clients take this server for. The Git facts name no upstream build, because it is none.
VERSION = Info(
    major="1",
    minor="36",
    emulation_major="1",
    emulation_minor="36",
    min_compatibility_major="1",
    min_compatibility_minor="35",
    git_version=PINNACE_VERSION,
    git_commit="0000000000000000000000000000000000000000",
    git_tree_state="clean",
    build_date="1970-01-01T00:00:00Z",
    go_version="python",
    compiler="cpython",
    platform="linux/amd64",
)
Path = Callable[[Request], Awaitable[Response]]
_CACHED = ("Cache-Control", "public, max-age=3600")


class NonResourcePaths:
    """Answers every path that is no resource's."""

    def __init__(
        self,
        *,
        store_failure: Callable[[], Awaitable[str]],
        metrics: Metrics,
        issuer: TokenIssuer,
        discovery: Path,
        openapi: Path,
        hooks: Sequence[str],
        groups: Mapping[str, tuple[str, ...]],
    ) -> None:
        """Serve; `store_failure` says why the store is not healthy, if so, `hooks` are the names of the post-start hooks, which /readyz lists, `groups` those of the API."""
        self._groups = groups
        self._metrics = metrics
        self._version = msgspec.json.format(codec.encode(VERSION), indent=2)
        self._discovery = discovery
        self._openapi = openapi
        self._ready = self._stopping = False
        self._jwks = msgspec.json.encode(issuer.jwks())
        self._configuration = msgspec.json.encode(issuer.discovery())
        etcd = Check("etcd", store_failure)
        started = [Check(f"poststarthook/{name}", self._start_failure) for name in hooks]
        self._health = {
            "livez": HealthChecks("/livez", (PING, Check("log", _fine), etcd, *started)),
            "healthz": HealthChecks("/healthz", (PING, Check("log", _fine), etcd, *started)),
            "readyz": HealthChecks(
                "/readyz",
                (
                    PING,
                    Check("log", _fine),
                    etcd,
                    Check("etcd-readiness", store_failure),
                    Check("informer-sync", self._start_failure),
                    *started,
                    Check("shutdown", self._shutdown_failure),
                ),
            ),
        }
        self._listed = self._paths(hooks)

    def set_ready(self) -> None:
        """Report ready from now on."""
        self._ready = True

    def set_stopping(self) -> None:
        """Report not ready from now on, for good."""
        self._stopping = True

    async def handle(self, request: Request, user: UserInfo) -> Response:
        """Answer a request."""
        del user
        path = request.path
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        if first in self._health:
            return await self._health[first].handle(request)
        if path in {"/api", "/api/", "/apis", "/apis/"} or path.startswith(("/api/", "/apis/")):
            return await self._discover(request)
        if path.startswith("/openapi/"):
            return await self._openapi(request)
        if path in {"/version", "/version/"}:
            return self._get_only(request, self._version, "application/json")
        if path in {"/metrics", "/metrics/slis"}:
            return self._metrics.response()
        if path == "/openid/v1/jwks":
            return self._get_only(request, self._jwks, "application/jwk-set+json", _CACHED)
        if path == "/.well-known/openid-configuration":
            return self._get_only(request, self._configuration, "application/json", _CACHED)
        if path == "/":
            return self._get_only(request, self._listed, "application/json")
        return page_not_found()

    async def _discover(self, request: Request) -> Response:
        """Answer discovery, and tell apart the two ways in which a path can be wrong."""
        parts = request.path.strip("/").split("/")
        if parts[0] == "apis" and len(parts) > 1 and parts[1] not in self._groups:
            return page_not_found()
        if (parts[0] == "api" and len(parts) > 1 and parts[1] != "v1") or (
            parts[0] == "apis" and len(parts) > 2 and parts[2] not in self._groups[parts[1]]
        ):
            return respond_error(request, route_not_found())
        # What describes groups is answered whatever the method.
        if request.method not in {"GET", "HEAD"} and not (parts[0] == "apis" and len(parts) <= 2):
            return respond_error(request, method_not_allowed())
        return await self._discovery(request)

    @staticmethod
    def _get_only(request: Request, body: bytes, media_type: str, *extra: tuple[str, str]) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return respond_error(request, method_not_allowed())
        return Response(200, Headers([("Content-Type", media_type), *extra]), body)

    async def _start_failure(self) -> str:
        return "" if self._ready else "not finished"

    async def _shutdown_failure(self) -> str:
        return "process is shutting down" if self._stopping else ""

    def _paths(self, hooks: Sequence[str]) -> bytes:
        paths = {"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/metrics", "/metrics/slis"}
        paths |= {"/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/version", "/"}
        for group, versions in self._groups.items():
            if group:
                paths |= {f"/apis/{group}", *(f"/apis/{group}/{version}" for version in versions)}
        for family in ("healthz", "livez", "readyz"):
            paths |= {f"/{family}", *(f"/{family}/{name}" for name in ("ping", "log", "etcd"))}
            paths |= {f"/{family}/poststarthook/{name}" for name in hooks}
        return msgspec.json.format(msgspec.json.encode({"paths": sorted(paths)}), indent=2)


async def _fine() -> str:
    return ""
