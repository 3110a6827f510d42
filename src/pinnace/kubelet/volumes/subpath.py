"""Parts of volumes, mounted without a way out of them.

A path below a volume may lead through links, and what writes to the volume may change them at any time. So the path is resolved first and
must stay inside; then it is opened part by part, following no link any more, and what was opened is what is mounted, at a place that no
container can reach. Upstream: `pkg/volume/util/subpath/subpath_linux.go` (CVE-2017-1002101, CVE-2021-25741).
"""

import os
import stat
from pathlib import Path

from pinnace.kubelet.environment import ConfigError
from pinnace.kubelet.volumes import mounts


def bind(volume: Path, below: str, target: Path) -> Path:
    """Mount a part of a volume at `target` and return that; a part that is not there becomes a folder. Safe to repeat.

    Raises:
        ConfigError: the part is not inside the volume.
        OSError: it cannot be mounted.
    """
    if Path(below).is_absolute() or ".." in Path(below).parts:
        raise ConfigError(f"subPath {below} must be relative and not contain ..")
    if mounts.is_mounted(target):
        return target
    base = volume.resolve()
    wanted = (base / below).resolve()
    if not wanted.is_relative_to(base):
        raise ConfigError(f"subPath {below} leads out of the volume")
    opened = open_inside(base, wanted.relative_to(base).parts)
    try:
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            target.mkdir(mode=0o750, parents=True, exist_ok=True)
        else:
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            target.touch()
        mounts.bind(f"/proc/self/fd/{opened}", target)
    finally:
        os.close(opened)
    return target


def open_inside(base: Path, parts: tuple[str, ...]) -> int:
    """Open a path part by part and return the descriptor; links are not followed, missing folders are made.

    Raises:
        ConfigError: a part has become a link.
    """
    mode = stat.S_IMODE(base.stat().st_mode)
    here = os.open(base, os.O_PATH | os.O_DIRECTORY)
    for part in parts:
        try:
            following = _step(here, part, mode)
        finally:
            os.close(here)
        here = following
        if stat.S_ISLNK(os.fstat(here).st_mode):
            os.close(here)
            raise ConfigError(f"subPath leads over a link: {part}")
    return here


def _step(here: int, part: str, mode: int) -> int:
    flags = os.O_PATH | os.O_NOFOLLOW
    try:
        return os.open(part, flags, dir_fd=here)
    except FileNotFoundError:
        os.mkdir(part, mode, dir_fd=here)
        # As open as the volume is, whatever mask the agent runs with.
        made = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
        try:
            os.fchmod(made, mode)
        finally:
            os.close(made)
        return os.open(part, flags, dir_fd=here)
