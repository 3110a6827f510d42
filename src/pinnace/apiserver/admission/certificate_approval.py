"""CertificateApproval and CertificateSigning: who approves or signs a request must be let do so for its signer.

The right is `approve` or `sign` on the signer by name, or on all of its domain. Upstream:
`plugin/pkg/admission/certificates/{approval,signing}`.
"""

from typing import Any

from pinnace.api.certificates_v1 import CertificateSigningRequest
from pinnace.apiserver.admission.interface import UPDATE, Attributes, Plugin, Target
from pinnace.apiserver.authorization.interface import Attributes as Access
from pinnace.apiserver.authorization.interface import Authorizer, Decision
from pinnace.component.http import UserInfo

_GROUP, _PLURAL = "certificates.k8s.io", "certificatesigningrequests"


class CertificateApproval(Plugin):
    """Guards approvals and denials."""

    name = "CertificateApproval"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, target: Target) -> bool:
        return target.is_on(_GROUP, _PLURAL, "approval") and target.operation == UPDATE

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        request: CertificateSigningRequest = old
        signer = request.spec.signer_name
        if not await may_use_signer(self._authorizer, attributes.user, "approve", signer):
            raise attributes.refuse(f'user not permitted to approve requests with signerName "{signer}"', obj)


class CertificateSigning(Plugin):
    """Guards the issuing of certificates, and the conditions that go with it."""

    name = "CertificateSigning"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, target: Target) -> bool:
        return target.is_on(_GROUP, _PLURAL, "status") and target.operation == UPDATE

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        now, was = obj.status, old.status
        if (now.certificate, now.conditions) == (was.certificate, was.conditions):
            return
        signer = old.spec.signer_name
        if not await may_use_signer(self._authorizer, attributes.user, "sign", signer):
            raise attributes.refuse(f'user not permitted to sign requests with signerName "{signer}"', obj)


async def may_use_signer(authorizer: Authorizer, user: UserInfo, verb: str, signer: str) -> bool:
    """Tell whether a user may act for a signer: by its whole name, or for all of its domain."""
    for name in (signer, signer.partition("/")[0] + "/*"):
        access = Access(
            user=user, verb=verb, is_resource=True, group=_GROUP, version="*", resource="signers", name=name
        )
        if (await authorizer.authorize(access)).decision is Decision.ALLOWED:
            return True
    return False
