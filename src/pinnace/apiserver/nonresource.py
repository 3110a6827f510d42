"""The paths beside the resources: health, version, metrics, discovery, OpenAPI, keys of token signing.

Upstream: apiserver `server/routes`, `server/healthz`, `endpoints/discovery`.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from pinnace.api import codec
from pinnace.apiserver.build_version import VERSION
from pinnace.apiserver.endpoints.responses import page_not_found, respond_error
from pinnace.apiserver.health import Health
from pinnace.apiserver.service_account_tokens import TokenIssuer
from pinnace.apiserver.zpages import Pages
from pinnace.component.http import Headers, Request, Response, UserInfo
from pinnace.component.metrics import Metrics
from pinnace.machinery.errors import method_not_allowed, route_not_found

Path = Callable[[Request], Awaitable[Response]]
_CACHED = ("Cache-Control", "public, max-age=3600")


class NonResourcePaths:
    """Answers every path that is no resource's."""

    def __init__(
        self,
        *,
        health: Health,
        pages: Pages,
        metrics: Metrics,
        issuer: TokenIssuer,
        discovery: Path,
        openapi: Path,
        groups: Mapping[str, tuple[str, ...]],
    ) -> None:
        """Serve; `groups` are those of the API, with their versions."""
        self._health = health
        self._pages = pages
        self._groups = groups
        self._metrics = metrics
        self._version = msgspec.json.format(codec.encode(VERSION), indent=2)
        self._discovery = discovery
        self._openapi = openapi
        self._jwks = msgspec.json.encode(issuer.jwks())
        self._configuration = msgspec.json.encode(issuer.discovery())
        self._paths = self._list_paths()
        self._listed = msgspec.json.format(msgspec.json.encode({"paths": self._paths}), indent=2)

    async def handle(self, request: Request, user: UserInfo) -> Response:
        """Answer a request."""
        del user
        path = request.path
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        if (checks := self._health.of(first)) is not None:
            return await checks.handle(request)
        if path in {"/api", "/api/", "/apis", "/apis/"} or path.startswith(("/api/", "/apis/")):
            return await self._discover(request)
        if path.startswith("/openapi/"):
            return await self._openapi(request)
        if path in {"/version", "/version/"}:
            return self._get_only(request, self._version, "application/json")
        if path == "/metrics":
            return self._metrics.response(("Process-Start-Time-Unix", self._pages.started_unix))
        if path == "/metrics/slis":
            return await self._health.indicate(request)
        if path == "/statusz":
            return self._pages.statusz(request, self._paths)
        if path == "/flagz":
            return self._pages.flagz(request)
        if path == "/openid/v1/jwks":
            return self._get_only(request, self._jwks, "application/jwk-set+json", _CACHED)
        if path == "/.well-known/openid-configuration":
            return self._get_only(request, self._configuration, "application/json", _CACHED)
        if path in {"/", "/index.html"}:
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

    def _list_paths(self) -> list[str]:
        paths = {"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/flagz", "/metrics"}
        paths |= {
            "/metrics/slis",
            "/openapi/v2",
            "/openapi/v3",
            "/openapi/v3/",
            "/openid/v1/jwks",
            "/statusz",
            "/version",
        }
        for group, versions in self._groups.items():
            if group:
                paths |= {f"/apis/{group}", *(f"/apis/{group}/{version}" for version in versions)}
        return sorted(paths | set(self._health.paths()))
