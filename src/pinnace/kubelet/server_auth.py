"""Who may ask the node's port for what: certificates and tokens say who, the API server says whether.

    client certificate (verified by TLS) | bearer token → TokenReview        ▶ user, or 401
    nodes/{stats,metrics,log,checkpoint,statusz} | nodes/{pods,healthz,configz} or nodes/proxy | nodes/proxy
                                             → SubjectAccessReview           ▶ allowed, or 403

Nobody is let in without a name. Answers are remembered: who a token is for two minutes, a yes for five, a no for half a minute. When the
API server does not answer, the request is refused. Upstream: kubelet `server/auth.go`, apiserver `delegating`.
"""

import hashlib
from collections import OrderedDict
from typing import Generic, TypeVar
from urllib.parse import unquote

from pinnace.api import authentication_v1, authorization_v1
from pinnace.client import Client
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError, Request, Response, UserInfo
from pinnace.component.tls import CertificateError, certificate_facts
from pinnace.machinery.errors import ApiError

TOKEN_SECONDS, ALLOWED_SECONDS, DENIED_SECONDS = 120.0, 300.0, 30.0
_REMEMBERED = 1024
_AUTHENTICATED = "system:authenticated"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_STREAMS = frozenset({"exec", "attach", "run", "portForward"})
_OWN = {"stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint", "statusz": "statusz"}
_FINE = {"pods": "pods", "runningpods": "pods", "healthz": "healthz", "configz": "configz"}
_BEARER = "bearer "
T = TypeVar("T")


class _Memory(Generic[T]):
    """Answers, each for its time; the least lately asked for give way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: OrderedDict[tuple[str, ...], tuple[float, T]] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> T | None:
        found = self._answers.get(key)
        if found is None or found[0] <= self._clock.monotonic():
            return None
        self._answers.move_to_end(key)
        return found[1]

    def put(self, key: tuple[str, ...], answer: T, seconds: float) -> None:
        self._answers[key] = (self._clock.monotonic() + seconds, answer)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)


class ServerAuth:
    """Lets requests to one node's port in."""

    def __init__(self, client: Client, clock: Clock, node_name: str) -> None:
        self._client, self._clock, self._node_name = client, clock, node_name
        self._users: _Memory[UserInfo] = _Memory(clock)
        self._verdicts: _Memory[bool] = _Memory(clock)

    async def __call__(self, request: Request) -> Response | None:
        """Return the refusal of a request; None lets it pass."""
        try:
            user = await self._who(request)
            if user is None:
                return Response(401, body=b"Unauthorized")
            verb = _verb(request)
            subresources = _subresources(request.path)
            for subresource in subresources:
                if await self._may(user, verb, subresource):
                    return None
        except (ApiError, HttpError, OSError, TimeoutError) as error:
            return Response(500, body=f"Internal Server Error: {error}\n".encode())
        asked = " ".join(subresources)
        text = f"Forbidden (user={user.name}, verb={verb}, resource=nodes, subresource(s)=[{asked}])\n"
        return Response(403, body=text.encode())

    async def _who(self, request: Request) -> UserInfo | None:
        connection = request.connection
        if connection.user is not None:
            return connection.user
        if connection.certificate is not None:
            try:
                facts = certificate_facts(connection.certificate)
            except CertificateError:
                return None
            # A connection can outlive its certificate, and a certificate can name groups and nobody.
            if not facts.common_name or facts.is_expired(self._clock.time()):
                return None
            return UserInfo(facts.common_name, groups=(*facts.organizations, _AUTHENTICATED))
        given = request.headers.get("Authorization") or ""
        return await self._reviewed(given[len(_BEARER) :]) if given.lower().startswith(_BEARER) else None

    async def _reviewed(self, token: str) -> UserInfo | None:
        # The token itself is not kept.
        key = (hashlib.sha256(token.encode()).hexdigest(),)
        known = self._users.get(key)
        if known is not None:
            return known
        review = authentication_v1.TokenReview(spec=authentication_v1.TokenReviewSpec(token=token))
        status = (await self._client.create(review)).status
        if not status.authenticated:
            return None
        found = status.user
        user = UserInfo(found.username, uid=found.uid, groups=found.groups, extra=found.extra)
        self._users.put(key, user, TOKEN_SECONDS)
        return user

    async def _may(self, user: UserInfo, verb: str, subresource: str) -> bool:
        key = (user.name, user.uid, *sorted(user.groups), repr(sorted(user.extra.items())), verb, subresource)
        known = self._verdicts.get(key)
        if known is not None:
            return known
        attributes = authorization_v1.ResourceAttributes(
            verb=verb, version="v1", resource="nodes", subresource=subresource, name=self._node_name
        )
        spec = authorization_v1.SubjectAccessReviewSpec(
            resource_attributes=attributes, user=user.name, uid=user.uid, groups=user.groups, extra=user.extra
        )
        answer = await self._client.create(authorization_v1.SubjectAccessReview(spec=spec))
        allowed = answer.status.allowed
        self._verdicts.put(key, allowed, ALLOWED_SECONDS if allowed else DENIED_SECONDS)
        return allowed


def _verb(request: Request) -> str:
    """Return what a request does; a command that is run, or a port that is opened, is no reading, though a WebSocket begins with GET."""
    first = unquote(request.path.strip("/").split("/", 1)[0])
    return "create" if first in _STREAMS else _VERBS.get(request.method, "get")


def _subresources(path: str) -> tuple[str, ...]:
    """Return what of the node a path is about; one that is allowed is enough."""
    first = path.strip("/").split("/", 1)[0]
    if first in _OWN:
        return (_OWN[first],)
    if first in _FINE:
        return (_FINE[first], "proxy")
    return ("proxy",)
