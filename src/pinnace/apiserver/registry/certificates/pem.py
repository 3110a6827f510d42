"""PEM as certificate requests and their answers carry it (RFC 7468; upstream `encoding/pem`, pkg/apis/certificates)."""

import base64
import binascii
from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Struct

_BEGIN, _END, _TAIL = b"-----BEGIN ", b"-----END ", b"-----"
REQUEST_TYPE = "CERTIFICATE REQUEST"


class Block(Struct, frozen=True):
    """One block: its type, whether it has headers, and its bytes."""

    type: str
    has_headers: bool
    data: bytes


def blocks(text: bytes) -> Iterator[Block]:
    """Return the well-formed blocks of a text, whatever stands between them."""
    at = 0
    while (begin := text.find(_BEGIN, at)) >= 0:
        at = begin + len(_BEGIN)
        if begin and text[begin - 1 : begin] != b"\n":
            continue
        line_end = text.find(b"\n", at)
        line = text[at:line_end].rstrip() if line_end >= 0 else b""
        if not line.endswith(_TAIL):
            continue
        kind = line.removesuffix(_TAIL)
        end = text.find(b"\n" + _END + kind + _TAIL, line_end)
        if end < 0:
            return
        headers, gap, body = text[line_end + 1 : end].partition(b"\n\n")
        has_headers = bool(gap) and b":" in headers
        data = _decoded(body if has_headers else text[line_end + 1 : end])
        at = end
        if data is not None:
            yield Block(kind.decode("utf-8", "replace"), has_headers, data)


def _decoded(body: bytes) -> bytes | None:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        return None


def parse_request(encoded: str) -> x509.CertificateSigningRequest:
    """Return the request that a text in base64 carries: its first block, for everybody who looks at it.

    Raises:
        ValueError: there is none; the text says why.
    """
    first = next(blocks(_text(encoded)), None)
    if first is None or first.type != REQUEST_TYPE:
        raise ValueError("PEM block type must be CERTIFICATE REQUEST")
    try:
        return x509.load_der_x509_csr(first.data)
    except ValueError as error:
        raise ValueError(f"x509: malformed certificate request: {error}") from error


def request_error(encoded: str) -> str:
    """Return what is wrong with a request in base64, empty when it is a signed PKCS#10 request."""
    try:
        is_signed = parse_request(encoded).is_signature_valid
    except ValueError as error:
        return str(error)
    except UnsupportedAlgorithm as error:
        return f"x509: malformed certificate request: {error}"
    return "" if is_signed else "x509: the signature of the certificate request is not valid"


def certificate_error(encoded: str) -> str:
    """Return what is wrong with certificates in base64, empty when there are none or all can be read."""
    if not encoded:
        return ""
    count = 0
    for block in blocks(_text(encoded)):
        if block.type != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{block.type}"'
        if block.has_headers:
            return "no PEM block headers are permitted"
        count += 1
        try:
            x509.load_der_x509_certificate(block.data)
        except ValueError as error:
            return f"x509: malformed certificate: {error}"
    return "" if count else "must contain at least one CERTIFICATE PEM block"


def _text(encoded: str) -> bytes:
    return base64.b64decode(encoded)
