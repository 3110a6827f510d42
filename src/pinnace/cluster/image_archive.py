"""Container images made from files, without a daemon: docker archives, as `docker save` writes and containerd imports them.

Invariant: the same files give the same bytes, so the same digest: owners are root, times are zero, entries are in order of path.
Shape: the image specification's version 1.2 (`manifest.json`, a configuration, one tar per layer).
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from pinnace.component.architecture import architecture


class NoArchive(ValueError):
    """A file that holds no image; the text says why."""


class Entry(Struct, frozen=True):
    """One path of an image, without a leading slash: a file with data, a symbolic link with `link`, else a folder."""

    path: str
    mode: int = 0o755
    data: bytes | None = None
    link: str = ""


class ImageConfig(Struct, frozen=True):
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


def names_in(path: Path) -> tuple[str, ...]:
    """Return the names of the images in a docker or OCI archive, packed or not.

    Raises:
        NoArchive: it is none, or its images have no names.
        OSError: it cannot be read.
    """
    try:
        with tarfile.open(path) as archive:
            names = _docker_names(archive) or _oci_names(archive)
    except (tarfile.TarError, EOFError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise NoArchive(f"{path} is no image archive, as `docker save` or `skopeo copy` write them") from error
    if not names:
        raise NoArchive(f"{path} holds no image that has a name: save it by its name and tag")
    return names


def _docker_names(archive: tarfile.TarFile) -> tuple[str, ...]:
    listed = _json_in(archive, "manifest.json") or []
    return tuple(name for image in listed for name in image.get("RepoTags") or ())


def _oci_names(archive: tarfile.TarFile) -> tuple[str, ...]:
    keys = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
    manifests = (_json_in(archive, "index.json") or {}).get("manifests") or []
    marked = (manifest.get("annotations") or {} for manifest in manifests)
    return tuple(next(marks[key] for key in keys if key in marks) for marks in marked if marks.keys() & set(keys))


def _json_in(archive: tarfile.TarFile, name: str) -> Any:
    member = next((member for member in archive if member.name.removeprefix("./") == name), None)
    file = archive.extractfile(member) if member is not None else None
    return json.load(file) if file is not None else None


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
