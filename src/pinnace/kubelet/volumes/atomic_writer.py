"""Files that change all at once: a folder of data behind a symlink that is swapped.

Readers see the old set or the new one, never a mixture. Upstream: `pkg/volume/util/atomic_writer.go`.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct


class Content(Struct, frozen=True):
    """One file: its bytes, its permission bits, and whose it is; None leaves it the agent's."""

    data: bytes
    mode: int
    owner: int | None = None


def write(folder: Path, files: Mapping[str, Content], stamp: str) -> bool:
    """Make a folder hold exactly these files, by relative path; tell whether anything changed. `stamp` names the new set."""
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / "..data"
    old = folder / current.readlink() if current.is_symlink() else None
    if old is not None and _same(old, files):
        return False
    fresh = folder / f"..{stamp}"
    for name, content in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.data)
        path.chmod(content.mode)
        if content.owner is not None:
            os.chown(path, content.owner, -1)
    fresh.mkdir(exist_ok=True)
    fresh.chmod(0o755)
    swap = folder / "..data_tmp"
    swap.unlink(missing_ok=True)
    swap.symlink_to(fresh.name)
    swap.replace(current)
    _link(folder, {name.split("/", 1)[0] for name in files})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _link(folder: Path, wanted: set[str]) -> None:
    for name in wanted:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    for name in os.listdir(folder):  # noqa: PTH208 - names are all that is needed
        if not name.startswith("..") and name not in wanted:
            (folder / name).unlink()


def _same(folder: Path, files: Mapping[str, Content]) -> bool:
    present = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    # A group that was given the files may have more rights than they were written with.
    return present.keys() == files.keys() and all(
        present[name].read_bytes() == content.data and present[name].stat().st_mode & content.mode == content.mode
        for name, content in files.items()
    )
