"""Client certificates: the subject says who it is.

The TLS layer has verified the certificate (validity in time, and the authority) when the connection was made; this module reads the
common name as the user, the organizations as groups, and a uid where the subject has one. A connection can outlive its certificate, so
the end is looked at again with each request. Upstream: apiserver `authentication/request/x509`.
"""

import hashlib

from msgspec import Struct

from pinnace.apiserver.authentication.interface import CREDENTIAL_ID_KEY, Authenticator
from pinnace.component.clock import Clock
from pinnace.component.http import Request, UserInfo
from pinnace.component.logging import get_logger
from pinnace.component.tls import CertificateError, certificate_facts
from pinnace.machinery.errors import Unauthorized

# Certificates whose reading is remembered: a handful of components and people make nearly all requests.
_REMEMBERED = 1024
_log = get_logger("authentication")


class CertificateAuthenticator(Authenticator):
    """Users of client certificates."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._read: dict[bytes, _Holder] = {}

    async def authenticate(self, request: Request) -> UserInfo | None:
        certificate = request.connection.certificate
        if certificate is None:
            return None
        holder = self._read.get(certificate)
        if holder is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            holder = self._read[certificate] = _read(certificate)
        if self._clock.time() > holder.expires:
            _log.info("client certificate refused", reason="expired")
            raise Unauthorized("Unauthorized")
        return holder.user


class _Holder(Struct, frozen=True):
    """Whom a certificate names, None when nobody, and when it ends, in seconds since the epoch."""

    user: UserInfo | None
    expires: float


def _read(certificate: bytes) -> _Holder:
    try:
        facts = certificate_facts(certificate)
    except CertificateError as error:
        raise Unauthorized("Unauthorized") from error
    if not facts.common_name:
        return _Holder(None, facts.not_after)
    credential = f"X509SHA256={hashlib.sha256(certificate).hexdigest()}"
    extra = {CREDENTIAL_ID_KEY: (credential,)}
    return _Holder(UserInfo(facts.common_name, facts.uid, facts.organizations, extra), facts.not_after)
