"""Where a webhook is: a URL or a Service (upstream apiserver `pkg/util/webhook/validation.go`)."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid, required

Errors = Iterator[FieldError]

SERVICE_PORT = 443
_FORM = "; desired format: https://host[/path]"


def url_errors(url: str, path: Path) -> Errors:
    """Check the URL of a webhook, which must be https."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        _ = parts.port  # a port that is no number
    except ValueError as error:
        yield required(path, f"url must be a valid URL: {error}{_FORM}")
        return
    if parts.scheme != "https":
        yield invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not host:
        yield invalid(path, host, f"host must be specified{_FORM}")
    user = parts.netloc.rpartition("@")[0]
    if "@" in parts.netloc:
        yield invalid(path, user, "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid(path, parts.query, "query parameters are not permitted in the URL")


def service_errors(namespace: str, name: str, url_path: str | None, port: int, path: Path) -> Errors:
    """Check the Service of a webhook."""
    if not name:
        yield required(path.child("name"), "service name is required")
    if not namespace:
        yield required(path.child("namespace"), "service namespace is required")
    wrong = names.port_number(port)
    if wrong:
        yield invalid(path.child("port"), port, f"port is not valid: {','.join(wrong)}")
    if url_path:
        yield from _path_errors(url_path, path.child("path"))


def _path_errors(text: str, path: Path) -> Errors:
    if text == "/":
        return
    if text == "//":
        yield invalid(path, text, "segment[0] may not be empty")
        return
    if not text.startswith("/"):
        yield invalid(path, text, "must start with a '/'")
    for index, step in enumerate(text[1:].removesuffix("/").split("/")):
        if not step:
            yield invalid(path, text, f"segment[{index}] may not be empty")
            continue
        yield from (invalid(path, text, f"segment[{index}]: {words}") for words in names.dns_subdomain(step))
