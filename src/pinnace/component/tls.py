"""TLS: the cluster's own certificate authority, what it issues, and the contexts that servers and clients use.

Servers ask for a client certificate and take none for an answer (bearer tokens come later, in HTTP), but one that is shown must
be valid: an expired or foreign one fails the handshake. Everyone speaks TLS 1.2 or later and HTTP/1.1.
Times are passed in, so that expiry can be tested under a virtual clock; the TLS library itself checks validity against the
machine's clock. Keys are ECDSA P-256: ten thousand times quicker to make than RSA, and every client of Kubernetes takes them.
Invariant: private keys are written with mode 0600, and in memory never appear in a repr.
"""

import contextlib
import hashlib
import ipaddress
import os
import ssl
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME_SECONDS = 10 * 365 * 86400.0
CERTIFICATE_LIFETIME_SECONDS = 365 * 86400.0
# Certificates are valid from a little before their issue: other machines' clocks may be behind.
BACKDATE_SECONDS = 300.0
# The attribute of a subject that holds a user's uid; upstream's number.
_UID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")


class CertificateError(ValueError):
    """Raised when a certificate or key cannot be read or they do not belong together; the text is fit for a user."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM; the certificate may be followed by those that signed it."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)

    def write(self, certificate_path: Path, key_path: Path) -> None:
        """Write both files, the key readable by its owner only; a crash leaves each whole, old or new."""
        write_atomically(key_path, self.key_pem, mode=0o600)
        write_atomically(certificate_path, self.certificate_pem, mode=0o644)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says, as far as it matters here; times are seconds since the epoch."""

    common_name: str
    organizations: tuple[str, ...]
    not_before: float
    not_after: float
    is_ca: bool
    names: tuple[str, ...]
    # The user's uid, where the subject names one under Kubernetes' own identifier.
    uid: str = ""

    def is_expired(self, now: float) -> bool:
        return now > self.not_after

    def needs_renewal(self, now: float) -> bool:
        """Tell whether less than a fifth of its life is left."""
        return now > self.not_after - (self.not_after - self.not_before) / 5


class CertificateAuthority:
    """Signs certificates; its key stays inside."""

    __slots__ = ("_certificate", "_key", "key_pair")

    def __init__(self, key_pair: KeyPair) -> None:
        """Take an authority that was made before.

        Raises:
            CertificateError: not a certificate and its key, or not of an authority.
        """
        self.key_pair = key_pair
        self._certificate = _load_certificate(key_pair.certificate_pem)
        self._key = _load_key(key_pair.key_pem)
        if self._key.public_key() != self._certificate.public_key():
            raise CertificateError("the authority's key does not belong to its certificate")
        if not certificate_facts(key_pair.certificate_pem).is_ca:
            raise CertificateError("the certificate is not one of an authority")

    @classmethod
    def create(
        cls, common_name: str, now: float, *, lifetime_seconds: float = CA_LIFETIME_SECONDS
    ) -> "CertificateAuthority":
        """Make a new authority, valid from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = subject_of(common_name, ())
        builder = _builder(name, name, key.public_key(), now, lifetime_seconds)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return cls(_pair(builder.sign(key, hashes.SHA256()), key))

    @property
    def certificate_pem(self) -> bytes:
        return self.key_pair.certificate_pem

    def issue_server(
        self,
        common_name: str,
        names: Iterable[str],
        now: float,
        *,
        organizations: Sequence[str] = (),
        lifetime_seconds: float = CERTIFICATE_LIFETIME_SECONDS,
    ) -> KeyPair:
        """Issue a certificate for a server that is reached by these DNS names and IP addresses."""
        alternatives = x509.SubjectAlternativeName([general_name(name) for name in names])
        return self._issue(
            common_name,
            organizations,
            ExtendedKeyUsageOID.SERVER_AUTH,
            now=now,
            lifetime_seconds=lifetime_seconds,
            alternatives=alternatives,
        )

    def issue_client(
        self,
        common_name: str,
        organizations: Sequence[str],
        now: float,
        *,
        lifetime_seconds: float = CERTIFICATE_LIFETIME_SECONDS,
    ) -> KeyPair:
        """Issue a certificate that says who a client is: user `common_name` in groups `organizations`."""
        return self._issue(
            common_name, organizations, ExtendedKeyUsageOID.CLIENT_AUTH, now=now, lifetime_seconds=lifetime_seconds
        )

    def sign_request(
        self, request_pem: bytes, usages: Sequence[x509.ObjectIdentifier], now: float, *, lifetime_seconds: float
    ) -> bytes:
        """Sign a certificate request as it stands, with its subject and names; whoever calls has checked them.

        Raises:
            CertificateError: not a request, or its own signature is wrong.
        """
        try:
            request = x509.load_pem_x509_csr(request_pem)
            with long_names():
                subject = request.subject
        except ValueError as error:
            raise CertificateError("not a certificate request in PEM") from error
        if not request.is_signature_valid:
            raise CertificateError("the certificate request's signature is wrong")
        public_key = request.public_key()
        builder = _builder(subject, self._certificate.subject, public_key, now, self._bounded(now, lifetime_seconds))
        try:
            alternatives = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            builder = builder.add_extension(alternatives.value, critical=alternatives.critical)
        except x509.ExtensionNotFound:
            pass
        return self._sign(builder, public_key, usages).public_bytes(serialization.Encoding.PEM)

    def _issue(
        self,
        common_name: str,
        organizations: Sequence[str],
        usage: x509.ObjectIdentifier,
        *,
        now: float,
        lifetime_seconds: float,
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = subject_of(common_name, organizations)
        lifetime_seconds = self._bounded(now, lifetime_seconds)
        builder = _builder(subject, self._certificate.subject, key.public_key(), now, lifetime_seconds)
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        return _pair(self._sign(builder, key.public_key(), (usage,)), key)

    def _sign(
        self,
        builder: x509.CertificateBuilder,
        public_key: CertificatePublicKeyTypes,
        usages: Sequence[x509.ObjectIdentifier],
    ) -> x509.Certificate:
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        return builder.sign(self._key, hashes.SHA256())

    def _bounded(self, now: float, lifetime_seconds: float) -> float:
        """Cut a lifetime so that nothing outlives the authority that signed it."""
        return min(lifetime_seconds, self._certificate.not_valid_after_utc.timestamp() - now)


def certificate_facts(certificate: bytes) -> CertificateFacts:
    """Read a certificate, PEM (the first one in it) or DER.

    Raises:
        CertificateError: it cannot be read.
    """
    loaded = _load_certificate(certificate)
    names: tuple[str, ...] = ()
    is_ca = False
    try:
        alternatives = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = (
            *alternatives.get_values_for_type(x509.DNSName),
            *map(str, alternatives.get_values_for_type(x509.IPAddress)),
        )
    except x509.ExtensionNotFound:
        pass
    with contextlib.suppress(x509.ExtensionNotFound):
        is_ca = loaded.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with long_names():
        subject = loaded.subject
    common_names = texts_of(subject, NameOID.COMMON_NAME)
    uids = texts_of(subject, _UID)
    if len(uids) > 1 or "" in uids:
        raise CertificateError("the subject must have one uid at most, and not an empty one")
    return CertificateFacts(
        # Of several the last, as Go reads them: whoever signed has looked at that one.
        common_name=common_names[-1] if common_names else "",
        organizations=texts_of(subject, NameOID.ORGANIZATION_NAME),
        not_before=loaded.not_valid_before_utc.timestamp(),
        not_after=loaded.not_valid_after_utc.timestamp(),
        is_ca=is_ca,
        names=names,
        uid=uids[0] if uids else "",
    )


def public_key_pin(certificate_pem: bytes) -> str:
    """Return `sha256:<hex>` of a certificate's public key, as people compare it (RFC 7469, in hexadecimal).

    Raises:
        CertificateError: not a certificate.
    """
    key = _load_certificate(certificate_pem).public_key()
    data = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def server_context(pair: KeyPair, client_ca_pem: bytes | None) -> ssl.SSLContext:
    """Return a context for a server that asks for client certificates of that authority; None asks for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _common(context)
    # A resumed session would keep a client certificate good beyond its expiry.
    context.num_tickets = 0
    use_key_pair(context, pair)
    if client_ca_pem is not None:
        context.load_verify_locations(cadata=client_ca_pem.decode("ascii"))
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(
    ca_pem: bytes | None, pair: KeyPair | None = None, *, verify: bool = True, check_hostname: bool = True
) -> ssl.SSLContext:
    """Return a context for a client that trusts this authority only (the system's when None) and shows `pair` if asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _common(context)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.check_hostname = check_hostname
        if ca_pem is not None:
            context.load_verify_locations(cadata=ca_pem.decode("ascii"))
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if pair is not None:
        use_key_pair(context, pair)
    return context


def use_key_pair(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Give a context a certificate; on one in use, handshakes from now on show the new one.

    Raises:
        CertificateError: the two do not belong together or are unreadable.
    """
    # The ssl module loads from files only; an anonymous one in memory leaves no copy of the key on disk.
    descriptor = os.memfd_create("key-pair", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(pair.key_pem + b"\n" + pair.certificate_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as error:
        raise CertificateError(f"certificate and key cannot be used: {error.reason or error}") from error
    finally:
        os.close(descriptor)


def _common(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def subject_of(common_name: str, organizations: Sequence[str]) -> x509.Name:
    """Return a subject as long as it needs to be.

    The standard's 64 characters are too few for `system:node:` and a node's name, and nobody in Kubernetes keeps to them.
    """
    parts = [(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    if common_name:
        parts.append((NameOID.COMMON_NAME, common_name))
    with long_names():
        return x509.Name([x509.NameAttribute(oid, text, _validate=False) for oid, text in parts])


@contextlib.contextmanager
def long_names() -> Iterator[None]:
    """Let names over the standard's length pass without a warning, written and read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: CertificatePublicKeyTypes,
    now: float,
    lifetime_seconds: float,
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(now - BACKDATE_SECONDS, UTC)
    end = datetime.fromtimestamp(now, UTC) + timedelta(seconds=lifetime_seconds)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    # A certificate may be issued for the past (to test expiry); validity then ends before the usual head start begins.
    builder = builder.not_valid_before(min(start, end - timedelta(seconds=1))).not_valid_after(end)
    return builder.serial_number(x509.random_serial_number())


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def general_name(name: str) -> x509.GeneralName:
    """Return an address as an address, and all else as a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _load_certificate(data: bytes) -> x509.Certificate:
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise CertificateError("not a certificate in PEM or DER") from error


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError("not an unencrypted private key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("the authority's key is not an elliptic curve key")
    return key


def texts_of(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    """Return the values of one attribute of a name."""
    return tuple(str(attribute.value) for attribute in name.get_attributes_for_oid(oid))


def write_atomically(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file that is on disk, whole, when this returns; a crash leaves the old one or none."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
