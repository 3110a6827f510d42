"""The parameters of operations: names, types and a word about each.

Upstream: the option types of apimachinery `meta/v1/types.go` and `pkg/apis/core/types.go`, as generators find them.
"""

from collections.abc import Mapping

from msgspec import Struct


class Parameter(Struct, frozen=True):
    """A query parameter, or a part of the path."""

    name: str
    type: str
    description: str
    in_path: bool = False


def _text(name: str, description: str) -> Parameter:
    return Parameter(name, "string", description)


def _number(name: str, description: str) -> Parameter:
    return Parameter(name, "integer", description)


def _flag(name: str, description: str) -> Parameter:
    return Parameter(name, "boolean", description)


PRETTY = _text("pretty", "If 'true', the answer is indented.")
NAMESPACE = Parameter("namespace", "string", "object name and auth scope, such as for teams and projects", in_path=True)


def name_of(kind: str) -> Parameter:
    """Return the parameter for an object's name."""
    return Parameter("name", "string", f"name of the {kind}", in_path=True)


PATH = Parameter("path", "string", "path to the resource", in_path=True)
PROXY_PATH = _text("path", "The part of the URL that is passed on.")

WRITE = (
    _text("dryRun", "'All' processes the request and stores nothing."),
    _text("fieldManager", "The name of who makes the change, at most 128 printable characters."),
    _text("fieldValidation", "What is done about unknown and duplicate fields: 'Ignore', 'Warn' or 'Strict'."),
)
FORCE = _flag("force", "Whether an apply takes over the fields that others own.")
# Tools look for the words about selectors and `watch`, which are upstream's.
LIST = (
    _flag("allowWatchBookmarks", "Whether a watch may send BOOKMARK events."),
    _text("continue", "Where the page before this one ended."),
    _text(
        "fieldSelector", "A selector to restrict the list of returned objects by their fields. Defaults to everything."
    ),
    _text(
        "labelSelector", "A selector to restrict the list of returned objects by their labels. Defaults to everything."
    ),
    _number("limit", "The most objects to return at once."),
    _text("resourceVersion", "Which versions may be served."),
    _text("resourceVersionMatch", "How resourceVersion is meant: 'Exact' or 'NotOlderThan'."),
    _flag("sendInitialEvents", "Whether a watch begins with what there is, followed by a bookmark."),
    _number("timeoutSeconds", "How long a list or watch may last."),
    _flag(
        "watch",
        "Watch for changes to the described resources and return them as a stream of add, update, and remove notifications. "
        "Specify resourceVersion.",
    ),
)
DELETE = (
    _text("dryRun", "'All' processes the request and stores nothing."),
    _number("gracePeriodSeconds", "Seconds until the object is deleted; 0 deletes it at once."),
    _flag(
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "Whether an object that cannot be read is deleted all the same.",
    ),
    _flag("orphanDependents", "Deprecated: use propagationPolicy. Whether dependents are left alone."),
    _text("propagationPolicy", "What becomes of dependents: 'Orphan', 'Background' or 'Foreground'."),
)
VERSION = _text("resourceVersion", "Which versions may be served.")

_STREAMS = (
    _text("container", "The container in the pod; the only one when it is left out."),
    _flag("stderr", "Whether standard error is passed on."),
    _flag("stdin", "Whether standard input is passed in."),
    _flag("stdout", "Whether standard output is passed on."),
    _flag("tty", "Whether a terminal is allocated."),
)
# What the subresources that are no part of an object take.
CONNECT: Mapping[str, tuple[Parameter, ...]] = {
    "attach": _STREAMS,
    "exec": (_text("command", "The command and its arguments, one at a time."), *_STREAMS),
    "portforward": (_number("ports", "The ports to forward, for WebSocket clients."),),
    "proxy": (PROXY_PATH,),
}
LOG = (
    _text("container", "The container in the pod; the only one when it is left out."),
    _flag("follow", "Whether the log is followed."),
    _flag("insecureSkipTLSVerifyBackend", "Whether the kubelet's certificate goes unchecked."),
    _number("limitBytes", "The most bytes to return."),
    _flag("previous", "Whether to return the log of the container's run before this one."),
    _number("sinceSeconds", "Return what is newer than this many seconds."),
    _text("stream", "Which stream to return: 'All', 'Stdout' or 'Stderr'."),
    _number("tailLines", "How many lines from the end to return."),
    _flag("timestamps", "Whether each line begins with its time."),
)
