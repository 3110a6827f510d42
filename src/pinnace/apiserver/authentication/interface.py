"""What every way of authentication answers: who makes a request."""

from abc import abstractmethod
from typing import Protocol

from msgspec import Struct

from pinnace.component.http import Request, UserInfo

ALL_AUTHENTICATED = "system:authenticated"
ALL_UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
CREDENTIAL_ID_KEY = "authentication.kubernetes.io/credential-id"


class Authenticator(Protocol):
    """One way to tell who makes a request."""

    @abstractmethod
    async def authenticate(self, request: Request) -> UserInfo | None:
        """Return the user, None when the request shows nothing that this way looks at.

        Raises:
            Unauthorized: it shows something, and that is no good; no other way is tried.
        """


class InvalidToken(Exception):
    """Raised for a bearer token that is not good; the text is for TokenReview and logs, and never holds the token."""


class TokenUser(Struct, frozen=True, gc=False):
    """Whose a token is, and for which of the audiences asked about; None for a kind of token that knows no audiences."""

    user: UserInfo
    audiences: tuple[str, ...] | None = None


class TokenAuthenticator(Protocol):
    """One kind of bearer token."""

    @abstractmethod
    async def authenticate_token(self, token: str, audiences: tuple[str, ...]) -> TokenUser | None:
        """Return the token's user, None when it is not of this kind.

        `audiences` are those that the token must be for; one of them is enough. A kind that knows no audiences leaves them alone.

        Raises:
            InvalidToken: it is of this kind, and not (or no longer) good.
        """
