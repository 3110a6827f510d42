"""Container images made from files, without a daemon: docker archives, as `docker save` writes and containerd imports them.

Invariant: the same files give the same bytes, so the same digest: owners are root, times are zero, entries are in order of path.
Shape: the image specification's version 1.2 (`manifest.json`, a configuration, one tar per layer).
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of an image, without a leading slash: a file with data, a symbolic link with `link`, else a folder."""

    path: str
    mode: int = 0o755
    data: bytes | None = None
    link: str = ""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a container of the image runs unless its pod says otherwise."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()


def build(name: str, entries: Iterable[Entry], config: ImageConfig) -> bytes:
    """Return an archive that holds one image of one layer under one name."""
    layer = _tar(entries)
    digest = hashlib.sha256(layer).hexdigest()
    described = {
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": list(config.entrypoint),
            "Cmd": list(config.command),
            "Env": [f"{key}={value}" for key, value in config.environment.items()],
            "ExposedPorts": {port: {} for port in config.exposed_ports},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "pinnace images build"}],
    }
    image = json.dumps(described, sort_keys=True).encode()
    image_file, layer_file = f"{hashlib.sha256(image).hexdigest()}.json", f"{digest}/layer.tar"
    manifest = json.dumps([{"Config": image_file, "RepoTags": [name], "Layers": [layer_file]}]).encode()
    files = {image_file: image, layer_file: layer, "manifest.json": manifest}
    return _tar(Entry(path, 0o644, data) for path, data in files.items())


def entries_of(folder: Path) -> list[Entry]:
    """Return what a folder holds as the entries of an image; sockets and devices are left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        name, mode = str(path.relative_to(folder)), path.lstat().st_mode & 0o7777
        if path.is_symlink():
            found.append(Entry(name, link=str(path.readlink())))
        elif path.is_dir():
            found.append(Entry(name, mode))
        elif path.is_file():
            found.append(Entry(name, mode, path.read_bytes()))
    return found


def architecture() -> str:
    """Return this machine's architecture as images call it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def _tar(entries: Iterable[Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in sorted(entries, key=lambda entry: entry.path):
            info = tarfile.TarInfo(entry.path)
            info.mode = entry.mode
            if entry.link:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
            elif entry.data is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(entry.data)
            archive.addfile(info, io.BytesIO(entry.data) if entry.data is not None else None)
    return buffer.getvalue()
