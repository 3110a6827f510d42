"""Client certificates: the subject says who it is.

The TLS layer has verified the certificate (validity in time, and the authority); this module reads the common name as the user,
the organizations as groups, and a uid where the subject has one. Upstream: apiserver `authentication/request/x509`.
"""

import hashlib

from pinnace.apiserver.authentication.interface import CREDENTIAL_ID_KEY, Authenticator
from pinnace.component.http import Request, UserInfo
from pinnace.component.tls import CertificateError, certificate_facts
from pinnace.machinery.errors import Unauthorized

# Certificates whose reading is remembered: a handful of components and people make nearly all requests.
_REMEMBERED = 1024


class CertificateAuthenticator(Authenticator):
    """Users of client certificates."""

    def __init__(self) -> None:
        self._users: dict[bytes, UserInfo | None] = {}

    async def authenticate(self, request: Request) -> UserInfo | None:
        certificate = request.connection.certificate
        if certificate is None:
            return None
        if certificate not in self._users:
            if len(self._users) >= _REMEMBERED:
                self._users.clear()
            self._users[certificate] = _read(certificate)
        return self._users[certificate]


def _read(certificate: bytes) -> UserInfo | None:
    try:
        facts = certificate_facts(certificate)
    except CertificateError as error:
        raise Unauthorized("Unauthorized") from error
    if not facts.common_name:
        return None
    credential = f"X509SHA256={hashlib.sha256(certificate).hexdigest()}"
    return UserInfo(facts.common_name, facts.uid, groups=facts.organizations, extra={CREDENTIAL_ID_KEY: (credential,)})
