"""CertificateSubjectRestriction: nobody requests a client certificate of the group that may do everything.

Upstream: `plugin/pkg/admission/certificates/subjectrestriction`.
"""

from typing import Any

from pinnace.api.certificates_v1 import CertificateSigningRequest
from pinnace.apiserver.admission.interface import CREATE, Attributes, Plugin, Target

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
    # Read here, since it is slow to load and hardly any write needs it.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    subject = x509.load_pem_x509_csr(_pem(request)).subject
    return {str(name.value) for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)}


def _pem(request: CertificateSigningRequest) -> bytes:
    import base64  # noqa: PLC0415

    return base64.b64decode(request.spec.request)
