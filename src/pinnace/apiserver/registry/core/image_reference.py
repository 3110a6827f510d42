"""What an image reference says about its tag: enough to choose a pull policy.

Upstream: pkg/util/parsers, distribution/reference.
"""

import re

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])"
_REFERENCE = re.compile(
    rf"(?:{_HOST}(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?"
    r"(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
ALWAYS, IF_NOT_PRESENT = "Always", "IfNotPresent"


def default_pull_policy(image: str) -> str:
    """Return the pull policy of an image: Always for a tag that moves, `latest` or none."""
    match = _REFERENCE.fullmatch(image)
    if match is None or match["digest"]:
        return ALWAYS if match is not None and match["tag"] == "latest" else IF_NOT_PRESENT
    return ALWAYS if match["tag"] in {None, "latest"} else IF_NOT_PRESENT
