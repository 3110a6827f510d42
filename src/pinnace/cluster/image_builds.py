"""Images that users make: of folders, which become the image's root, and of static programs, which land in its `/bin`.

Nothing is run and nothing is downloaded, so there are no recipes; whatever makes the folder (a compiler, debootstrap) comes before.
"""

from collections.abc import Iterable
from pathlib import Path

from pinnace.cluster.image_archive import Entry, ImageConfig, entries_of
from pinnace.cluster.local_images import is_static


class ImageBuildError(ValueError):
    """What was given makes no image; the text says what, why, and what to do."""


def gather(paths: Iterable[Path]) -> list[Entry]:
    """Return the entries of an image made of folders and static programs; the later ones win.

    Raises:
        ImageBuildError: a path is missing, is neither, or is a program that needs libraries.
        OSError: something cannot be read.
    """
    found: dict[str, Entry] = {}
    for path in paths:
        entries = entries_of(path) if path.is_dir() else [Entry("bin"), _program(path)]
        found |= {entry.path: entry for entry in entries}
    return list(found.values())


def with_entrypoint(config: ImageConfig, paths: Iterable[Path]) -> ImageConfig:
    """Return the configuration with something to run: what it says, else the only program that was given.

    Raises:
        ImageBuildError: neither says what to run.
    """
    if config.entrypoint or config.command:
        return config
    programs = [path for path in paths if path.is_file()]
    if len(programs) != 1:
        raise ImageBuildError("nothing says what the image runs: add --entrypoint")
    return ImageConfig((f"/bin/{programs[0].name}",), (), config.environment, config.exposed_ports)


def _program(path: Path) -> Entry:
    if not path.is_file():
        raise ImageBuildError(f"{path} is neither a folder nor a file")
    data = path.read_bytes()
    if not is_static(data):
        raise ImageBuildError(
            f"{path} is no static program: link it statically, or give a folder that holds its libraries"
        )
    return Entry(f"bin/{path.name}", data=data)
