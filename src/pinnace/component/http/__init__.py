"""HTTP/1.1 as Pinnace uses it: messages, the server adapter, the client, WebSocket and SPDY/3.1."""

from pinnace.component.http.errors import (
    BodyIncomplete,
    BodyTooLarge,
    ConnectFailed,
    HttpError,
    ProtocolError,
    UpgradeRefused,
)
from pinnace.component.http.message import (
    Connection,
    Divertible,
    DuplexStream,
    Handler,
    Headers,
    Part,
    Request,
    Response,
    Upgrade,
    UserInfo,
)

__all__ = [
    "BodyIncomplete",
    "BodyTooLarge",
    "ConnectFailed",
    "Connection",
    "Divertible",
    "DuplexStream",
    "Handler",
    "Headers",
    "HttpError",
    "Part",
    "ProtocolError",
    "Request",
    "Response",
    "Upgrade",
    "UpgradeRefused",
    "UserInfo",
]
