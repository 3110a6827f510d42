"""Images on the way into a cluster's containerd: the local ones, and every archive in `<data-dir>/images/`.

What has been imported is remembered beside containerd's own data by name, size and time, so that a start imports only what is new. A
file that is no image is reported and does not keep the cluster from starting.
"""

import asyncio
import os
import re
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct, field

from pinnace.cluster.containerd_config import ContainerdError, ContainerdPaths, search_path
from pinnace.cluster.image_archive import names_in
from pinnace.cluster.local_images import demoapp_archive, pause_archive

NAMESPACE = "k8s.io"
_LOCAL = {"pause.tar": pause_archive, "demoapp.tar": demoapp_archive}


class Imported(Struct, frozen=True):
    """The archives that were taken into containerd, and the complaints about those that could not be."""

    archives: tuple[str, ...]
    failures: tuple[str, ...]


class Offered(Struct, frozen=True):
    """An archive in the folder that starts import from, and the names of its images."""

    path: Path
    names: tuple[str, ...]


class ImageFacts(Struct, frozen=True):
    """One image as containerd lists it; `size` is for people, such as `4.5 MiB`."""

    name: str
    digest: str
    size: str


class _Memory(Struct, frozen=True):
    """What is remembered of earlier imports: archive → mark, and the names that came of them."""

    marks: dict[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


class Images:
    """The images of one containerd."""

    def __init__(self, paths: ContainerdPaths, archives: Path) -> None:
        self._paths = paths
        self.archives = archives

    async def import_new(self) -> Imported:
        """Import the local images and the archives of the folder, as far as they are new.

        Raises:
            ContainerdError: the local images cannot be made or taken in; without them no pod starts.
        """
        memory = self._known()
        marks = {str(path): _mark(path) for path in await asyncio.to_thread(self._wanted)}
        new = [Path(path) for path, mark in marks.items() if memory.marks.get(path) != mark]
        if not new:
            return Imported((), ())
        before = set(await self.names())
        done, failures = [], []
        for path in new:
            try:
                await self.import_archive(path)
                done.append(path.name)
            except ContainerdError as error:
                if path.parent != self.archives:
                    raise
                del marks[str(path)]
                failures.append(str(error))
        names = memory.names | (set(await self.names()) - before)
        self._remember(_Memory(marks, names))
        return Imported(tuple(done), tuple(failures))

    async def import_archive(self, path: Path) -> None:
        """Import one OCI or docker archive.

        Raises:
            ContainerdError: it is none, or containerd refuses it.
        """
        await self._ctr("images", "import", str(path), what=f"cannot import {path}")

    def offer(self, path: Path) -> Offered:
        """Copy an archive to where every start imports from, in the place of an earlier one of the same image.

        Raises:
            NoArchive: it holds no image.
            OSError: it cannot be read, or there is no room.
        """
        names = names_in(path)
        self.archives.mkdir(parents=True, exist_ok=True)
        kept = self.archives / (re.sub(r"[^A-Za-z0-9._-]", "_", names[0]) + ".tar")
        temporary = kept.with_name(f".{kept.name}")
        try:
            shutil.copyfile(path, temporary)
            temporary.replace(kept)
        finally:
            temporary.unlink(missing_ok=True)
        return Offered(kept, names)

    def kept(self) -> frozenset[str]:
        """Return the names of all images that came from archives: no registry has them, so nobody may clean them away."""
        return self._known().names

    async def listed(self) -> list[ImageFacts]:
        """Return all images by name.

        Raises:
            ContainerdError: containerd does not answer.
        """
        output = await self._ctr("images", "list", what="cannot list images")
        # Columns: name, media type, digest, size and its unit, platforms, labels.
        rows = [line.split() for line in output.splitlines()[1:]]
        found = [ImageFacts(row[0], row[2], f"{row[3]} {row[4]}") for row in rows if len(row) > 4]
        return sorted((image for image in found if _is_name(image.name)), key=lambda image: image.name)

    async def names(self) -> list[str]:
        """Return the names of all images, without the digests that containerd lists beside them."""
        listed = await self._ctr("images", "list", "--quiet", what="cannot list images")
        return sorted(filter(_is_name, listed.split()))

    @property
    def _remembered(self) -> Path:
        return self._paths.data / "pinnace-imported.json"

    def _known(self) -> _Memory:
        try:
            return msgspec.json.decode(self._remembered.read_bytes(), type=_Memory)
        except (FileNotFoundError, msgspec.DecodeError):
            return _Memory()

    def _remember(self, memory: _Memory) -> None:
        temporary = self._remembered.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(memory))
        temporary.replace(self._remembered)

    def _wanted(self) -> list[Path]:
        local = self._paths.root / "images"
        local.mkdir(parents=True, exist_ok=True)
        self.archives.mkdir(parents=True, exist_ok=True)
        for name, make in _LOCAL.items():
            if not (local / name).exists():
                (local / f".{name}").write_bytes(make())
                (local / f".{name}").replace(local / name)
        offered = sorted(path for path in self.archives.iterdir() if path.is_file() and not path.name.startswith("."))
        return [*(local / name for name in _LOCAL), *offered]

    async def _ctr(self, *arguments: str, what: str) -> str:
        program = shutil.which("ctr", path=search_path())
        if program is None:
            raise ContainerdError(f"{what}: ctr, which comes with containerd, is not installed: see `pinnace doctor`")
        process = await asyncio.create_subprocess_exec(
            program,
            "--address",
            str(self._paths.socket),
            "--namespace",
            NAMESPACE,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": search_path()},
        )
        try:
            output, complaint = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode != 0:
            lines = complaint.decode(errors="replace").strip().splitlines()
            raise ContainerdError(f"{what}: {lines[-1] if lines else 'ctr failed'}")
        return output.decode()


def _is_name(name: str) -> bool:
    """Tell a name from the digests that containerd lists beside it."""
    return "@" not in name and not name.startswith("sha256:")


def _mark(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size}:{found.st_mtime_ns}"
