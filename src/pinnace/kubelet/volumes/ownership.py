"""Lets a pod's group write its volumes: `fsGroup` of the security context.

Files become the group's, readable and writable for it; folders also hand their group on. With the policy OnRootMismatch a volume whose top
is right already is left alone. Links are never followed. Upstream: `pkg/volume/volume_linux.go`.
"""

import os
import stat
from pathlib import Path

_FILE_BITS, _READ_ONLY_BITS, _FOLDER_BITS = 0o660, 0o440, stat.S_ISGID | 0o110


def give_to_group(top: Path, group: int, *, read_only: bool = False, unless_right: bool = False) -> None:
    """Give a volume to a group; `unless_right` skips a volume whose top has group and bits already."""
    bits = _READ_ONLY_BITS if read_only else _FILE_BITS
    if unless_right and _is_right(top, group, bits):
        return
    for place, folders, names in os.walk(top):
        for name in (*folders, *names):
            _give(Path(place) / name, group, bits)
    # The top comes last, so that a walk that was cut short is seen as such.
    _give(top, group, bits)


def _is_right(top: Path, group: int, bits: int) -> bool:
    found = top.stat()
    wanted = bits | _FOLDER_BITS
    return found.st_gid == group and found.st_mode & wanted == wanted


def _give(path: Path, group: int, bits: int) -> None:
    found = path.lstat()
    os.lchown(path, -1, group)
    if stat.S_ISLNK(found.st_mode):
        return
    more = bits | _FOLDER_BITS if stat.S_ISDIR(found.st_mode) else bits
    path.chmod(stat.S_IMODE(found.st_mode) | more)
