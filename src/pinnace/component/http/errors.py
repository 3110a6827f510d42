"""What can go wrong with HTTP itself, below any meaning of a request.

HttpError
├── BodyTooLarge        a request body over the limit that its reader gave
├── BodyIncomplete      the sender went away before the body was complete
├── ProtocolError       bytes that break HTTP, WebSocket or SPDY rules
├── ConnectFailed       no connection to the server
└── UpgradeRefused      the server answered something else than 101 to an upgrade
"""


class HttpError(Exception):
    """Base of all HTTP failures."""


class BodyTooLarge(HttpError):
    """Raised when a body has more bytes than the reader allows."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body has more than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class BodyIncomplete(HttpError):
    """Raised when the sender went away in the middle of a body."""


class ProtocolError(HttpError):
    """Raised when the peer breaks the rules of the protocol; the connection is of no further use."""


class ConnectFailed(HttpError):
    """Raised when no connection could be made; the text says to where and why."""


class UpgradeRefused(HttpError):
    """Raised when a server answers an upgrade with an ordinary response, which is kept here."""

    def __init__(self, status: int, fields: tuple[tuple[str, str], ...], body: bytes) -> None:
        super().__init__(f"the server answered {status} to an upgrade")
        self.status = status
        self.fields = fields
        self.body = body
