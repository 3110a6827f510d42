"""Answers: bytes of an object or a tree, in the negotiated form, with the headers every answer has.

JSON leaves as Go's encoder writes it: `<`, `>` and `&` as escapes, a newline behind compact JSON and none behind indented. Large
bodies are compressed when the client can take it. Upstream: apiserver `endpoints/handlers/responsewriters`, `runtime/serializer/
json`.
"""

import asyncio
import gzip
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import yaml

from pinnace.apiserver.endpoints.negotiation import JSON, YAML, Output, negotiate_error
from pinnace.component.http import Headers, Request, Response
from pinnace.machinery.errors import ApiError

# Bytes a body must have before it is worth compressing, and how hard to try: upstream's values.
GZIP_THRESHOLD_BYTES = 128 * 1024
GZIP_LEVEL = 1
# Characters of all warnings together before each is cut short, and what it is cut to.
WARNINGS_TOTAL = 4096
WARNING_CUT = 256

_ENCODER = msgspec.json.Encoder(order=None)
# Most answers say nothing else of themselves.
_CONTENT_TYPES = {media_type: Headers([("Content-Type", media_type)]) for media_type in (JSON, YAML)}
_NOSNIFF = ("X-Content-Type-Options", "nosniff")


def escape_html(body: bytes) -> bytes:
    """Write the characters that Go's encoder escapes the way it does: those of HTML, and what JavaScript takes for line breaks."""
    if b"<" in body:
        body = body.replace(b"<", b"\\u003c")
    if b">" in body:
        body = body.replace(b">", b"\\u003e")
    if b"&" in body:
        body = body.replace(b"&", b"\\u0026")
    if b"\xe2\x80" in body:
        body = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return body


def render(body: bytes, output: Output) -> bytes:
    """Bring compact JSON into the form that was negotiated."""
    if output.media_type == JSON:
        if output.pretty:
            return escape_html(msgspec.json.format(body, indent=2))
        return escape_html(body) + b"\n"
    return to_yaml(msgspec.json.decode(body))


class _Dumper(yaml.SafeDumper):
    """Writes as Go's YAML library does: lines as a block, and double quotes around what would read as something else."""


def _represent_text(dumper: Any, text: str) -> Any:
    style = None
    if "\n" in text:
        style = "|"
    elif text in _LETTERS or dumper.resolve(yaml.ScalarNode, text, (True, False)) != _TEXT_TAG:
        style = '"'
    return dumper.represent_scalar(_TEXT_TAG, text, style=style)


_TEXT_TAG = "tag:yaml.org,2002:str"
# Truth values to Go's readers, though not to this library.
_LETTERS = frozenset("yYnN")
_Dumper.add_representer(str, _represent_text)
# Columns before a long text would be folded: never.
_WIDTH = 2**30


def to_yaml(tree: Any) -> bytes:
    """Write a tree as YAML with its keys sorted."""
    text: bytes = yaml.dump(
        tree, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, encoding="utf-8", width=_WIDTH
    )
    return text


def tree_bytes(tree: Any) -> bytes:
    """Write a plain tree as compact JSON, keys as they stand."""
    return _ENCODER.encode(tree)


def warning_headers(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Return a Warning header for each text, each text once."""
    unique = list(dict.fromkeys(texts))
    if sum(map(len, unique)) > WARNINGS_TOTAL:
        unique = [text[:WARNING_CUT] for text in unique]
    return [("Warning", f'299 - "{_quoted(text)}"') for text in unique]


def _quoted(text: str) -> str:
    clean = "".join(char if char.isprintable() else " " for char in text)
    return clean.replace("\\", "\\\\").replace('"', '\\"')


def respond(
    request: Request,
    body: bytes,
    output: Output,
    *,
    status: int = 200,
    warnings: Sequence[str] = (),
    extra: Sequence[tuple[str, str]] = (),
) -> Response:
    """Answer with an object in compact JSON."""
    rendered = render(body, output)
    fields = [*extra, *warning_headers(warnings)] if extra or warnings else []
    headers = _CONTENT_TYPES[output.media_type]
    return Response(
        status, headers.extended(*fields) if fields else headers, b"" if request.method == "HEAD" else rendered
    )


async def compressed(request: Request, answer: Response) -> Response:
    """Return a large answer to a reader compressed, when the client takes that; any other as it is.

    The work is done beside the event loop: a list of ten thousand objects takes a good part of a second.
    """
    body = answer.body
    if not isinstance(body, bytes) or len(body) <= GZIP_THRESHOLD_BYTES or request.method != "GET":
        return answer
    if not _takes_gzip(request):
        return answer
    packed = await asyncio.to_thread(gzip.compress, body, GZIP_LEVEL, mtime=0)
    headers = answer.headers.extended(("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return Response(answer.status, headers, packed)


def _takes_gzip(request: Request) -> bool:
    return any(token.partition(";")[0].strip() == "gzip" for token in request.headers.tokens("Accept-Encoding"))


def respond_error(request: Request, error: ApiError, warnings: Sequence[str] = ()) -> Response:
    """Answer with a Status that says what went wrong."""
    status = error.status()
    extra = []
    details: Mapping[str, Any] = status.get("details") or {}
    if details.get("retryAfterSeconds"):
        extra.append(("Retry-After", str(details["retryAfterSeconds"])))
    return respond(
        request, tree_bytes(status), negotiate_error(request), status=error.code, warnings=warnings, extra=extra
    )


def plain(status: int, text: str, *extra: tuple[str, str]) -> Response:
    """Answer with text, as paths outside the API do."""
    return Response(status, Headers([("Content-Type", "text/plain; charset=utf-8"), _NOSNIFF, *extra]), text.encode())


def page_not_found() -> Response:
    """Answer a path that nothing serves."""
    return plain(404, "404 page not found\n")


def success(code: int = 0, details: Mapping[str, Any] | None = None) -> bytes:
    """Return a Status of success."""
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details is not None:
        status["details"] = details
    if code:
        status["code"] = code
    return tree_bytes(status)
