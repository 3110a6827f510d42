"""kubeconfig files: written for our clusters, merged into the user's own without touching what is not ours.

A file that cannot be read as a kubeconfig is never overwritten. Merging follows kind's habits: one context, cluster and user named
after the cluster; the context is made current only where none is, or when asked. Upstream: client-go `tools/clientcmd`.
"""

import base64
import os
from pathlib import Path
from typing import Any

from msgspec import Struct


class KubeconfigError(ValueError):
    """A file that is no kubeconfig, or lacks what is asked of it; the text says which and why."""


class Access(Struct, frozen=True):
    """How to reach a cluster as one user: PEM bytes, or a bearer token."""

    server: str
    ca_pem: bytes
    certificate_pem: bytes = b""
    key_pem: bytes = b""
    token: str = ""


def tree(name: str, access: Access) -> dict[str, Any]:
    """Return a kubeconfig with one cluster, user and context, the context current."""
    user: dict[str, Any] = {}
    if access.certificate_pem:
        user["client-certificate-data"] = _base64(access.certificate_pem)
        user["client-key-data"] = _base64(access.key_pem)
    if access.token:
        user["token"] = access.token
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"certificate-authority-data": _base64(access.ca_pem), "server": access.server}}
        ],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def cluster_tree(name: str, access: Access) -> dict[str, Any]:
    """Return a kubeconfig that says where a cluster is and whom to believe, and nothing of any user."""
    cluster = tree(name, access)["clusters"]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": cluster,
        "contexts": None,
        "current-context": "",
        "preferences": {},
        "users": None,
    }


def load(path: Path) -> dict[str, Any]:
    """Read a file; one that is not there, or empty, is an empty configuration.

    Raises:
        KubeconfigError: it is there and no kubeconfig.
    """
    import yaml  # noqa: PLC0415 - `pinnace up` reads no file before its server starts, which this would hold up

    try:
        found = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise KubeconfigError(f"{path} is no kubeconfig: it holds no mapping")
    return found


def access(path: Path, context: str = "") -> Access:
    """Return what a file says of a context, or of the current one.

    Raises:
        KubeconfigError: it does not say enough.
    """
    config = load(path)
    wanted = context or config.get("current-context") or ""
    chosen = _named(config, "contexts", wanted).get("context") or {}
    cluster = _named(config, "clusters", chosen.get("cluster", "")).get("cluster") or {}
    user = _named(config, "users", chosen.get("user", "")).get("user") or {}
    if not cluster.get("server"):
        raise KubeconfigError(f"{path}: context {wanted!r} leads to no server")
    return Access(
        cluster["server"],
        _material(path, cluster, "certificate-authority"),
        _material(path, user, "client-certificate"),
        _material(path, user, "client-key"),
        str(user.get("token") or ""),
    )


def write(path: Path, config: dict[str, Any]) -> None:
    """Put a configuration in a file, for its owner alone, all of it or nothing."""
    import yaml  # noqa: PLC0415 - as above

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(config, file, sort_keys=False)
    temporary.replace(path)


def merge(path: Path, name: str, access: Access, *, use: bool = False) -> None:
    """Put a cluster's entries into a file, in the place of older ones of the same name.

    Raises:
        KubeconfigError: the file is no kubeconfig; it is left as it is.
    """
    config = load(path)
    ours = tree(name, access)
    for section in ("clusters", "users", "contexts"):
        others = [item for item in config.get(section) or [] if item.get("name") != name]
        config[section] = [*others, *ours[section]]
    config.setdefault("apiVersion", "v1")
    config.setdefault("kind", "Config")
    if use or not config.get("current-context"):
        config["current-context"] = name
    write(path, config)


def forget(path: Path, name: str) -> None:
    """Take a cluster's entries out of a file, if they are there.

    Raises:
        KubeconfigError: the file is no kubeconfig; it is left as it is.
    """
    config = load(path)
    before = repr(config)
    for section in ("clusters", "users", "contexts"):
        if section in config:
            config[section] = [item for item in config[section] or [] if item.get("name") != name]
    if config.get("current-context") == name:
        config["current-context"] = ""
    if repr(config) != before:
        write(path, config)


def user_file() -> Path:
    """Return the file that the user's kubectl reads: the first of KUBECONFIG, else the one in the home folder."""
    listed = [item for item in os.environ.get("KUBECONFIG", "").split(os.pathsep) if item]
    return Path(listed[0]) if listed else Path.home() / ".kube/config"


def _named(config: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    return next((item for item in config.get(section) or [] if item.get("name") == name), {})


def _material(path: Path, holder: dict[str, Any], field: str) -> bytes:
    if data := holder.get(f"{field}-data"):
        return base64.b64decode(data)
    if file := holder.get(field):
        return Path(path.parent, str(file)).read_bytes()
    return b""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
