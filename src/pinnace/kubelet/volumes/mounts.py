"""Mount points of this machine: what is mounted below a folder, and the calls that mount and unmount.

A bind mount from the same disk cannot be told by `stat`, so the kernel's own list is read. Source: proc(5) mountinfo, mount(2).
"""

import ctypes
import errno
import os
import re
from pathlib import Path

_BIND, _RECURSIVE, _DETACH = 0x1000, 0x4000, 2
_LIST = Path("/proc/self/mountinfo")
# Blanks and the like are written as three octal digits.
_ESCAPE = re.compile(r"\\([0-7]{3})")
_libc = ctypes.CDLL(None, use_errno=True)


def below(folder: Path) -> list[Path]:
    """Return all mount points at and below a folder, the innermost first."""
    root = str(folder.resolve())
    points = (_ESCAPE.sub(lambda found: chr(int(found[1], 8)), line.split()[4]) for line in _lines())
    return sorted(
        (Path(point) for point in points if point == root or point.startswith(f"{root}/")),
        key=lambda path: len(path.parts),
        reverse=True,
    )


def is_mounted(path: Path) -> bool:
    """Tell whether something is mounted at a path."""
    return path in below(path)


def bind(source: str, target: Path) -> None:
    """Make what is at `source` appear at `target`, with all that is mounted below it.

    Raises:
        OSError: the kernel refuses.
    """
    if _libc.mount(os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(_BIND | _RECURSIVE), None):
        code = ctypes.get_errno()
        raise OSError(code, f"cannot mount {source} at {target}: {os.strerror(code)}")


def unmount(path: Path) -> None:
    """Take a mount away, at once for new users, at last when its old users have gone; harmless when there is none.

    Raises:
        OSError: the kernel refuses.
    """
    if _libc.umount2(os.fsencode(path), _DETACH) and (code := ctypes.get_errno()) not in {errno.EINVAL, errno.ENOENT}:
        raise OSError(code, f"cannot unmount {path}: {os.strerror(code)}")


def _lines() -> list[str]:
    return _LIST.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
