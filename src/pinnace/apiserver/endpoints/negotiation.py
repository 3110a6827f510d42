"""Which media type an answer has: JSON, YAML, a Table or metadata only, pretty or compact.

Invariant: the first acceptable clause in order of q decides, and a clause that asks for a transform which does not exist is
passed over, not an error, as long as another clause fits. Protobuf is read but not written: a client that lists JSON too gets JSON, one
that does not gets 406. Upstream: apiserver `endpoints/handlers/negotiation`, `responsewriters`.
"""

from msgspec import Struct

from pinnace.component.http import Request
from pinnace.machinery.errors import NO_DETAILS, NotAcceptable, UnsupportedMediaType
from pinnace.machinery.memo import remember_short

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
REPRESENTATIONS = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_STREAMS = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"

NOT_ACCEPTABLE = "406: Not Acceptable\n\nAvailable representations: " + REPRESENTATIONS
ONLY_ACCEPTED = "only the following media types are accepted: "
UNKNOWN_FORMAT = "the body of the request was in an unknown format - accepted media types include: " + REPRESENTATIONS

_TRANSFORMS = {
    ("Table", "v1"): "Table",
    ("Table", "v1beta1"): "Table",
    ("PartialObjectMetadata", "v1"): "PartialObjectMetadata",
    ("PartialObjectMetadataList", "v1"): "PartialObjectMetadataList",
    ("PartialObjectMetadata", "v1beta1"): "PartialObjectMetadata",
    ("PartialObjectMetadataList", "v1beta1"): "PartialObjectMetadataList",
}
# What Go reads as true. Unlike the other flags of a query, this one is read by hand upstream.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
# Programs with a person behind them, who get indented JSON unless they say otherwise.
_HUMANS = ("curl", "Wget", "Mozilla/5.0")


class Output(Struct, frozen=True):
    """How an answer is written; `transform` is empty for the object itself."""

    media_type: str = JSON
    pretty: bool = False
    transform: str = ""
    # The version of meta.k8s.io that the transform was asked in.
    transform_version: str = ""


PLAIN = Output()
_PRETTY = Output(pretty=True)


class Clause(Struct, frozen=True):
    """One media type that a client takes, and how much it wants it."""

    type: str
    subtype: str
    q: float
    params: tuple[tuple[str, str], ...]

    def param(self, name: str) -> str:
        """Return the value of a parameter; empty when it is not there."""
        return next((value for key, value in self.params if key == name), "")


@remember_short
def clauses(accept: str) -> tuple[Clause, ...]:
    """Read an Accept header; clauses with higher q come first, equal ones in their order."""
    found = []
    for part in accept.split(","):
        media, *params = (piece.strip() for piece in part.split(";"))
        if not media:
            continue
        kind, _, subtype = media.partition("/")
        pairs = tuple((key.strip(), value.strip()) for key, _, value in (param.partition("=") for param in params))
        q = 1.0
        for key, value in pairs:
            if key == "q":
                try:
                    q = float(value)
                except ValueError:
                    q = 1.0
        found.append(Clause(kind, subtype or ("*" if kind == "*" else ""), q, pairs))
    return tuple(sorted(found, key=lambda clause: -clause.q))


def _media_type(clause: Clause) -> str:
    media = f"{clause.type}/{clause.subtype}"
    if media in {JSON, "*/*"}:
        return JSON
    return YAML if media == YAML else ""


def is_pretty(request: Request) -> bool:
    """Tell whether JSON is to be indented, as far as the query and the client's name say."""
    wanted = request.param("pretty") if request.query else ""
    if wanted:
        return wanted in _TRUE
    return request.headers.get("User-Agent").startswith(_HUMANS)


def negotiate(request: Request, *, watch: bool = False, transforms: bool = True) -> Output:
    """Choose how to answer.

    Raises:
        NotAcceptable: nothing in the Accept header can be served.
    """
    accept = request.headers.get("Accept")
    pretty = is_pretty(request)
    if accept in {"", JSON, "*/*"}:
        return _PRETTY if pretty else PLAIN
    return _choose(accept, pretty, watch, transforms)


@remember_short
def _choose(accept: str, pretty: bool, watch: bool, transforms: bool) -> Output:  # noqa: FBT001
    refused = False
    for clause in clauses(accept):
        media = _media_type(clause)
        if not media:
            continue
        if watch and media == YAML:
            raise NotAcceptable(ONLY_ACCEPTED + _STREAMS)
        transform = clause.param("as")
        version = clause.param("v")
        if transform or version or clause.param("g"):
            found = _TRANSFORMS.get((transform, version)) if clause.param("g") == "meta.k8s.io" else None
            if found is None or not transforms:
                refused = True
                continue
            transform = found
        return Output(media, pretty or clause.param("pretty") == "1", transform, version)
    if refused:
        raise NotAcceptable(ONLY_ACCEPTED + REPRESENTATIONS)
    raise NotAcceptable(NOT_ACCEPTABLE, NO_DETAILS)


def negotiate_error(request: Request) -> Output:
    """Choose how to write a Status: as the client wants when that is JSON or YAML, else JSON."""
    for clause in clauses(request.headers.get("Accept")):
        media = _media_type(clause)
        if media:
            return Output(media, is_pretty(request) or clause.param("pretty") == "1")
    return Output(JSON, is_pretty(request))


def input_type(request: Request) -> str:
    """Return the media type of the body: JSON, YAML or protobuf.

    Raises:
        UnsupportedMediaType: it is anything else.
    """
    content_type = request.headers.get("Content-Type")
    if not content_type or content_type == JSON:
        return JSON
    media = content_type.partition(";")[0].strip().lower()
    if media in {JSON, YAML, PROTOBUF}:
        return media
    raise UnsupportedMediaType(UNKNOWN_FORMAT)
