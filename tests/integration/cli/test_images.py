"""`pinnace images` where no containerd runs: what is built and kept, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.cluster.image_archive import names_in
from support.commands import Commands, complaint


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    yield from Commands.fresh(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an image may be made of."""
    made = tmp_path / "root"
    (made / "etc").mkdir(parents=True)
    (made / "etc/motd").write_text("hello")
    return made


def test_built_archive_is_imported_before_the_first_start(commands: Commands, folder: Path, tmp_path: Path) -> None:
    """An image that is given to a cluster that never ran waits in its folder, and the folder is a cluster's from then on."""
    archive = tmp_path / "a.tar"
    done = commands.run("images", "build", "a/b:v1", str(folder), "--entrypoint", "/x", "--to", str(archive))
    assert done.returncode == 0, done.stderr
    assert names_in(archive) == ("a/b:v1",)
    done = commands.run("images", "import", str(archive))
    assert "a/b:v1: kept for the next start" in done.stderr
    (kept,) = (commands.data_dir / "images").iterdir()
    assert kept.read_bytes() == archive.read_bytes()
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0


def test_same_image_is_kept_once(commands: Commands, folder: Path) -> None:
    """An import replaces what an earlier one of the same name brought; the user hears that `latest` is pulled anew."""
    for text in ("one", "two"):
        (folder / "etc/motd").write_text(text)
        done = commands.run("images", "build", "a/b", str(folder), "--entrypoint", "/x")
        assert "`latest`" in done.stderr
    (kept,) = (commands.data_dir / "images").iterdir()
    assert b"two" in kept.read_bytes()


def test_listing_without_containerd_says_how_to_get_one(commands: Commands) -> None:
    """No list is not an empty list."""
    assert "pinnace up" in complaint(commands.run("images", "list"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["import", "FOLDER/etc/motd"], "no image archive", id="import-of-a-text"),
        pytest.param(["build", "a:1", "FOLDER"], "--entrypoint", id="nothing-to-run"),
        pytest.param(["build", "a:1", "FOLDER/etc/motd"], "no static program", id="program-that-is-none"),
        pytest.param(
            ["build", "a:1", "FOLDER", "--entrypoint", "/x", "--to", "/no/such/a.tar"], "/no/such", id="no-folder"
        ),
    ],
)
def test_refusals_are_one_line(commands: Commands, folder: Path, words: list[str], said: str) -> None:
    """Each says what and why, and leaves no half-made archive behind."""
    arguments = [word.replace("FOLDER", str(folder)) for word in words]
    assert said in complaint(commands.run("images", *arguments))
    assert not list((commands.data_dir / "images").glob("*"))


def test_import_into_a_foreign_folder_is_refused(commands: Commands, folder: Path) -> None:
    """A folder that holds something else is neither a cluster nor made one."""
    shutil.copytree(folder, commands.data_dir)
    done = commands.run("images", "build", "a:1", str(folder), "--entrypoint", "/x")
    assert "holds no cluster" in complaint(done)
    assert not (commands.data_dir / "images").exists()
