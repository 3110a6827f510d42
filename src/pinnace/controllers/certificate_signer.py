"""The signer of approved certificate requests, and the cleaner of those that nobody needs any more.

Upstream: pkg/controller/certificates/signer `signer.go`, authority `policies.go`, cleaner `cleaner.go`.
"""

import base64

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec.structs import replace

from pinnace.api.certificates_v1 import CertificateSigningRequest
from pinnace.client import Client, InformerFactory
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.tls import (
    BACKDATE_SECONDS,
    CERTIFICATE_LIFETIME_SECONDS,
    CertificateAuthority,
    CertificateError,
    certificate_facts,
)
from pinnace.controllers.certificate_requests import (
    CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    complaint,
    condition,
    facts_of,
    has_condition,
    request_pem,
)
from pinnace.controllers.controller import Controller
from pinnace.machinery import timestamps
from pinnace.machinery.errors import NotFound

SIGNERS = frozenset({CLIENT, KUBELET_CLIENT, KUBELET_SERVING})
LEAST_SECONDS = 600.0
# A life of this length and more pays for the head start that every certificate has.
SHORT_SECONDS = 8 * 3600.0
CLEANING_SECONDS, DECIDED_SECONDS, UNDECIDED_SECONDS = 3600.0, 3600.0, 24 * 3600.0
_EXTENDED: dict[str, ObjectIdentifier] = {
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
}


def lifetime_seconds(wanted: int | None) -> float:
    """Return how long a certificate is valid from now."""
    seconds = min(max(float(wanted or CERTIFICATE_LIFETIME_SECONDS), LEAST_SECONDS), CERTIFICATE_LIFETIME_SECONDS)
    return seconds - BACKDATE_SECONDS if seconds >= SHORT_SECONDS else seconds


class CertificateSigner(Controller):
    """Reconciles approved requests of the cluster's own signers."""

    name = "certificate-controller"
    component = "certificate-controller"
    backoff = Backoff(0.2, 1000.0)

    def __init__(
        self, client: Client, informers: InformerFactory, clock: Clock, *, authority: CertificateAuthority
    ) -> None:
        super().__init__(client, informers, clock)
        self._authority = authority
        self._requests = informers.informer(CertificateSigningRequest)
        self._requests.add_handler(self.enqueue, lambda _, new: self.enqueue(new))

    async def reconcile(self, key: str) -> float | None:
        request = self._requests.cache.get(key)
        if request is None or request.spec.signer_name not in SIGNERS or request.status.certificate:
            return None
        if not has_condition(request, "Approved") or has_condition(request, "Failed"):
            return None
        try:
            certificate = self._signed(request)
        except CertificateError as error:
            failed = condition("Failed", "SignerValidationFailure", str(error))
            status = replace(request.status, conditions=(*request.status.conditions, failed))
        else:
            status = replace(request.status, certificate=base64.b64encode(certificate).decode())
        await self.write_status(request, status)
        return None

    def _signed(self, request: CertificateSigningRequest) -> bytes:
        wrong = complaint(request.spec.signer_name, facts_of(request), request.spec.usages)
        if wrong:
            raise CertificateError(wrong)
        return self._authority.sign_request(
            request_pem(request),
            [_EXTENDED[usage] for usage in request.spec.usages if usage in _EXTENDED],
            self.clock.time(),
            lifetime_seconds=lifetime_seconds(request.spec.expiration_seconds),
        )


class CertificateCleaner(Controller):
    """Deletes requests an hour after their end, and unanswered ones after a day."""

    name = "certificate-controller"
    component = "certificate-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._requests = informers.informer(CertificateSigningRequest)

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002
        """Nothing goes by keys here."""
        return None

    async def run_beside(self) -> None:
        await self.every(CLEANING_SECONDS, self._clean)

    async def _clean(self) -> None:
        now = self.clock.time()
        for request in self._requests.cache.list():
            if is_past(request, now):
                try:
                    await self.client.delete(CertificateSigningRequest, request.metadata.name)
                except NotFound:
                    continue


def is_past(request: CertificateSigningRequest, now: float) -> bool:
    """Tell whether a request has been of no use for long enough."""
    if request.status.certificate and _has_expired(request.status.certificate, now):
        return True
    decided = {"Denied", "Failed"} | ({"Approved"} if request.status.certificate else set())
    for one in request.status.conditions:
        since = timestamps.age_seconds(one.last_update_time, now)
        if one.type in decided and since is not None and since > DECIDED_SECONDS:
            return True
    if request.status.certificate or has_condition(request, "Denied") or has_condition(request, "Failed"):
        return False
    age = timestamps.age_seconds(request.metadata.creation_timestamp, now)
    return age is not None and age > UNDECIDED_SECONDS


def _has_expired(certificate: str, now: float) -> bool:
    try:
        return certificate_facts(base64.b64decode(certificate)).is_expired(now)
    except ValueError:
        return False
