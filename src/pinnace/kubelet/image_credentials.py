"""Which user and password a registry is shown: from pull secrets to the entries that fit an image. Pure.

A secret holds `.dockerconfigjson` (`{"auths": {<registry>: …}}`) or `.dockercfg` (the inner object alone). An entry fits when its host
fits part by part, `*` standing for anything within a part, its port is the same, and its path begins the image's. The most specific
entry comes first. Upstream: `pkg/credentialprovider/keyring.go`, `config.go`.
"""

import base64
import binascii
import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pinnace.api import core_v1
from pinnace.kubelet.runtime import Credential

_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
_DOCKER_HUB = "index.docker.io"
# The parts of an image's name: registry, repository, tag, digest.
_NAME = re.compile(
    r"(?:(?P<registry>(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?)/)?"
    r"(?P<path>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)


class InvalidName(Exception):
    """An image's name is none; the text is upstream's."""


def repository(image: str) -> str:
    """Return registry and repository of an image, with what is left out by custom: `nginx` is `docker.io/library/nginx`.

    Raises:
        InvalidName: the name has not the form of one.
    """
    found = _NAME.fullmatch(image)
    if found is None:
        lower = _NAME.fullmatch(image.lower())
        reason = "invalid reference format"
        if lower is not None and image != image.lower():
            reason += f": repository name ({_familiar(lower, image)}) must be lowercase"
        raise InvalidName(f'couldn\'t parse image name "{image}": {reason}')
    registry, path = found["registry"] or "", found["path"]
    if registry and not ("." in registry or ":" in registry or registry == "localhost"):
        registry, path = "", f"{registry}/{path}"
    if not registry or registry in {_DOCKER_HUB, "docker.io"}:
        return f"docker.io/{path if '/' in path else f'library/{path}'}"
    return f"{registry}/{path}"


def credentials(image: str, secrets: Iterable[core_v1.Secret]) -> tuple[Credential, ...]:
    """Return all that may open an image's repository, the most specific first, each once."""
    wanted = repository(image).replace("docker.io/", f"{_DOCKER_HUB}/", 1)
    fitting = [(place, found) for secret in secrets for place, found in _entries(secret) if _fits(place, wanted)]
    fitting.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(dict.fromkeys(found for _, found in fitting))


def _entries(secret: core_v1.Secret) -> Iterable[tuple[str, Credential]]:
    """Yield place and credential of every entry that can be read; others are skipped, as upstream."""
    key = _KEYS.get(secret.type, "")
    try:
        tree = json.loads(base64.b64decode(secret.data.get(key, "")))
    except (ValueError, binascii.Error):
        return
    if key == ".dockerconfigjson" and isinstance(tree, dict):
        tree = tree.get("auths")
    if not isinstance(tree, dict):
        return
    for place, entry in tree.items():
        if isinstance(entry, dict) and (found := _credential(entry)) is not None:
            yield _place(str(place)), found


def _credential(entry: Mapping[str, Any]) -> Credential | None:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            user, _, password = base64.b64decode(str(entry["auth"])).decode().partition(":")
        except (ValueError, binascii.Error):
            return None
    token = str(entry.get("identitytoken") or "")
    return Credential(user, password, token) if user or token else None


def _place(key: str) -> str:
    """Return a key of a secret as host and path."""
    parts = urlsplit(key if "://" in key else f"https://{key}")
    path = parts.path.rstrip("/")
    # What registries called their programming interface in old configurations is no part of a name.
    if path in {"/v1", "/v2"}:
        path = ""
    host = parts.netloc
    return f"{_DOCKER_HUB if host == 'docker.io' else host}{path}"


def _fits(place: str, wanted: str) -> bool:
    host, _, path = place.partition("/")
    wanted_host, _, wanted_path = wanted.partition("/")
    name, _, port = host.partition(":")
    wanted_name, _, wanted_port = wanted_host.partition(":")
    parts, wanted_parts = name.split("."), wanted_name.split(".")
    return (
        port == wanted_port
        and len(parts) == len(wanted_parts)
        and all(fnmatch.fnmatchcase(theirs, ours) for ours, theirs in zip(parts, wanted_parts, strict=True))
        and wanted_path.startswith(path)
    )


def _familiar(lower: re.Match[str], image: str) -> str:
    bare = image.split("@", 1)[0]
    tag = lower["tag"] or ""
    bare = bare.removesuffix(f":{bare[len(bare) - len(tag) :]}") if tag else bare
    return bare if "/" in bare else f"library/{bare}"
