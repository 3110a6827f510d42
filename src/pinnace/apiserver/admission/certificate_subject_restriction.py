"""CertificateSubjectRestriction: nobody requests a client certificate of the group that may do everything.

Upstream: `plugin/pkg/admission/certificates/subjectrestriction`.
"""

from typing import Any

from cryptography.x509.oid import NameOID

from pinnace.api.certificates_v1 import CertificateSigningRequest
from pinnace.apiserver.admission.interface import CREATE, Attributes, Plugin, Target
from pinnace.apiserver.registry.certificates.pem import parse_request

_SIGNER = "kubernetes.io/kube-apiserver-client"
_MASTERS = "system:masters"


class CertificateSubjectRestriction(Plugin):
    """Refuses requests for certificates of masters."""

    name = "CertificateSubjectRestriction"

    def handles(self, target: Target) -> bool:
        return target.is_on("certificates.k8s.io", "certificatesigningrequests") and target.operation == CREATE

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:  # noqa: ARG002
        request: CertificateSigningRequest = obj
        if request.spec.signer_name != _SIGNER:
            return
        try:
            organizations = _organizations(request)
        except ValueError as error:
            raise attributes.refuse(f"failed to parse CSR: {error}", request) from error
        if _MASTERS in organizations:
            text = f"use of {_SIGNER} signer with {_MASTERS} group is not allowed"
            raise attributes.refuse(text, request)


def _organizations(request: CertificateSigningRequest) -> set[str]:
    """Return the groups that a certificate would carry.

    Raises:
        ValueError: the request cannot be read.
    """
    # By the same reader as everywhere: a request that two readers understood differently would be let in as the one and signed as the
    # other.
    subject = parse_request(request.spec.request).subject
    return {str(name.value) for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)}
