"""Volumes that are folders of this machine: scratch space of a pod, and places of the node itself. Upstream: `pkg/volume/{emptydir,hostpath}`."""

import asyncio
import os
import stat
from pathlib import Path

from pinnace.api import core_v1
from pinnace.kubelet.environment import ConfigError
from pinnace.kubelet.volumes import mounts
from pinnace.machinery import quantity

_KINDS = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


async def empty_dir(folder: Path, source: core_v1.EmptyDirVolumeSource) -> Path:
    """Make scratch space, on disk or in memory; safe to repeat.

    Raises:
        ConfigError: it cannot be of this kind here.
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - one folder
    if source.medium == "Memory" and not mounts.is_mounted(folder):
        size = quantity.parse(source.size_limit).value() if source.size_limit else 0
        await _run("mount", "-t", "tmpfs", *(("-o", f"size={size}") if size else ()), "tmpfs", str(folder))
    elif source.medium not in {"", "Memory"}:
        raise ConfigError(f"emptyDir medium {source.medium} is not supported by this node")
    folder.chmod(0o777)  # noqa: ASYNC240
    return folder


def host_path(place: str, kind: str) -> Path:
    """Return a place of the node, made if its kind says so.

    Raises:
        ConfigError: it is not of this kind.
    """
    path = Path(place)
    _check(path, kind)
    return path


def existing(place: str) -> Path:
    """Return a place of the node that has to be there.

    Raises:
        ConfigError: it is not.
    """
    path = Path(place)
    if not path.exists():
        raise ConfigError(f'path "{path}" does not exist')
    return path


def _check(path: Path, kind: str) -> None:
    if not kind:
        return
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(mode=0o755, parents=True)
    elif kind == "FileOrCreate" and not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    check, noun = _KINDS[kind]
    if not path.exists() or not check(path.stat().st_mode):
        raise ConfigError(f"hostPath type check failed: {path} is not a {noun}")


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    if process.returncode:
        raise OSError(f"{command[0]} failed: {errors.decode(errors='replace').strip()}")
