"""Certificate requests: made with a fresh key by who wants a certificate, read by who decides about it.

What is read is what would be signed: both go through the same reader (`tls.CertificateAuthority.sign_request`).
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from pinnace.component.tls import CertificateError, general_name, long_names, subject_of, texts_of


class RequestFacts(Struct, frozen=True):
    """What a certificate request asks for; `others` tells that it has names of kinds that no Kubernetes signer knows."""

    common_name: str
    organizations: tuple[str, ...]
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    others: bool = False

    @property
    def has_names(self) -> bool:
        """Whether it asks for names beside the subject."""
        return bool(self.dns_names or self.ip_addresses or self.emails or self.uris or self.others)


class CertificateRequest(Struct, frozen=True):
    """A request and the key that it is for, both PEM."""

    request_pem: bytes
    key_pem: bytes


def make_request(common_name: str, organizations: Sequence[str], names: Sequence[str] = ()) -> CertificateRequest:
    """Make a key and ask for a certificate of it: for a client, or with `names` for a server."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_of(common_name, organizations))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(general_name, names))), critical=False)
    return CertificateRequest(
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def request_facts(pem: bytes) -> RequestFacts:
    """Read a certificate request.

    Raises:
        CertificateError: it cannot be read.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        with long_names():
            subject = request.subject
        extensions = request.extensions
    except ValueError as error:
        raise CertificateError("not a certificate request in PEM") from error
    common_names = texts_of(subject, NameOID.COMMON_NAME)
    facts = RequestFacts(
        common_name=common_names[0] if len(common_names) == 1 else "",
        organizations=texts_of(subject, NameOID.ORGANIZATION_NAME),
    )
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return facts
    dns, addresses = found.get_values_for_type(x509.DNSName), found.get_values_for_type(x509.IPAddress)
    emails = found.get_values_for_type(x509.RFC822Name)
    uris = found.get_values_for_type(x509.UniformResourceIdentifier)
    return RequestFacts(
        common_name=facts.common_name,
        organizations=facts.organizations,
        dns_names=tuple(dns),
        ip_addresses=tuple(map(str, addresses)),
        emails=tuple(emails),
        uris=tuple(uris),
        others=len(list(found)) > len(dns) + len(addresses) + len(emails) + len(uris),
    )
