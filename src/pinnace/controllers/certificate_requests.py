"""What requests for certificates may ask of Kubernetes' own signers, and what they have come to; pure.

Upstream: pkg/apis/certificates `helpers.go`, pkg/controller/certificates `certificate_controller_utils.go`.
"""

import base64
import binascii

from pinnace.api.certificates_v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from pinnace.component.certificate_requests import RequestFacts, request_facts
from pinnace.component.tls import CertificateError

CLIENT, KUBELET_CLIENT, KUBELET_SERVING = (
    f"kubernetes.io/{name}" for name in ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving")
)
NODES, NODE_USER = "system:nodes", "system:node:"
_CLIENT_USAGES = frozenset({"digital signature", "client auth"})
_SERVER_USAGES = frozenset({"digital signature", "server auth"})
_OPTIONAL_USAGES = frozenset({"key encipherment"})


def facts_of(request: CertificateSigningRequest) -> RequestFacts:
    """Read what a request asks for.

    Raises:
        CertificateError: it cannot be read.
    """
    return request_facts(request_pem(request))


def request_pem(request: CertificateSigningRequest) -> bytes:
    """Return the PEM in a request.

    Raises:
        CertificateError: there is none.
    """
    try:
        return base64.b64decode(request.spec.request, validate=True)
    except binascii.Error as error:
        raise CertificateError("not a certificate request in PEM") from error


def has_condition(request: CertificateSigningRequest, kind: str) -> bool:
    """Tell whether a request is Approved, Denied or Failed."""
    return any(one.type == kind for one in request.status.conditions)


def is_decided(request: CertificateSigningRequest) -> bool:
    """Tell whether somebody has said yes or no."""
    return has_condition(request, "Approved") or has_condition(request, "Denied")


def condition(kind: str, reason: str, message: str) -> CertificateSigningRequestCondition:
    """Return a condition that is true; the API server fills in its times."""
    return CertificateSigningRequestCondition(type=kind, status="True", reason=reason, message=message)


def complaint(signer: str, facts: RequestFacts, usages: tuple[str, ...]) -> str:
    """Return why a signer may not sign this, an empty text when it may."""
    if signer == KUBELET_CLIENT:
        return _kubelet_client_complaint(facts, frozenset(usages))
    if signer == KUBELET_SERVING:
        return _kubelet_serving_complaint(facts, frozenset(usages))
    return _client_complaint(frozenset(usages))


def _client_complaint(usages: frozenset[str]) -> str:
    if "client auth" not in usages:
        return f'usages did not contain "client auth": {sorted(usages)}'
    if extra := usages - _CLIENT_USAGES - _OPTIONAL_USAGES:
        return f'usages may only be "digital signature", "key encipherment" and "client auth": {sorted(extra)}'
    return ""


def _kubelet_client_complaint(facts: RequestFacts, usages: frozenset[str]) -> str:
    if wrong := _subject_complaint(facts):
        return wrong
    if facts.dns_names:
        return "DNS subjectAltNames are not allowed"
    if facts.emails:
        return "Email subjectAltNames are not allowed"
    if facts.ip_addresses:
        return "IP subjectAltNames are not allowed"
    if facts.uris or facts.others:
        return "URI subjectAltNames are not allowed"
    if usages - _OPTIONAL_USAGES != _CLIENT_USAGES:
        return (
            "usages did not match [client auth digital signature] or [client auth digital signature key encipherment]"
        )
    return ""


def _kubelet_serving_complaint(facts: RequestFacts, usages: frozenset[str]) -> str:
    if wrong := _subject_complaint(facts):
        return wrong
    if not facts.dns_names and not facts.ip_addresses:
        return "DNS or IP subjectAltName is required"
    if facts.emails:
        return "Email subjectAltNames are not allowed"
    if facts.uris or facts.others:
        return "URI subjectAltNames are not allowed"
    if usages - _OPTIONAL_USAGES != _SERVER_USAGES:
        return (
            "usages did not match [digital signature server auth] or [digital signature key encipherment server auth]"
        )
    return ""


def _subject_complaint(facts: RequestFacts) -> str:
    if facts.organizations != (NODES,):
        return f"subject organization is not {NODES}"
    if not facts.common_name.startswith(NODE_USER):
        return f"subject common name does not begin with {NODE_USER}"
    return ""
