"""Mounts under a folder: found in the kernel's own list, and taken away deepest first."""

import ctypes
import os
import re
from pathlib import Path

_MNT_DETACH = 2


def mount_points(mountinfo: str, folder: Path) -> list[str]:
    """Return what is mounted on or below a folder, the latest and deepest first, from the text of `/proc/self/mountinfo`."""
    below = os.path.join(folder, "")  # noqa: PTH118 - with the slash at the end, so that /a/bc is not below /a/b
    points = [_unescaped(line.split(" ")[4]) for line in mountinfo.splitlines() if line]
    return [point for point in reversed(points) if os.path.join(point, "").startswith(below)]  # noqa: PTH118


def unmount_below(folder: Path) -> list[str]:
    """Unmount everything on and below a folder, in use or not; return what could not be."""
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = mount_points(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"), folder)
    return [
        f"{point}: {os.strerror(ctypes.get_errno())}"
        for point in mounted
        if libc.umount2(os.fsencode(point), _MNT_DETACH) != 0
    ]


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
