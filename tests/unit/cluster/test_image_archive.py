"""Images from files."""

import hashlib
import io
import json
import tarfile

import pytest

from pinnace.cluster.image_archive import Entry, ImageConfig, build, entries_of
from pinnace.cluster.local_images import is_static

ENTRIES = (Entry("bin"), Entry("bin/run", data=b"#!"), Entry("bin/sh", link="run"), Entry("tmp", 0o1777))


def opened(data):
    return tarfile.open(fileobj=io.BytesIO(data))


def test_archive_names_one_image_whose_parts_have_the_right_digests():
    """The manifest leads to a configuration and a layer, and the configuration's digest is that of the layer."""
    archive = opened(build("a/b:v1", ENTRIES, ImageConfig(entrypoint=("/bin/run",), environment={"A": "b"})))
    (manifest,) = json.load(archive.extractfile("manifest.json"))
    assert manifest["RepoTags"] == ["a/b:v1"]
    config_data = archive.extractfile(manifest["Config"]).read()
    layer = archive.extractfile(manifest["Layers"][0]).read()
    assert manifest["Config"] == hashlib.sha256(config_data).hexdigest() + ".json"
    config = json.loads(config_data)
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    assert (config["config"]["Entrypoint"], config["config"]["Env"]) == (["/bin/run"], ["A=b"])
    members = {member.name: member for member in opened(layer).getmembers()}
    assert (members["bin/sh"].linkname, members["tmp"].mode, members["bin/run"].size) == ("run", 0o1777, 2)


def test_archive_of_the_same_files_is_the_same_bytes():
    """Neither the order of the entries nor the time of day shows."""
    assert build("a:1", ENTRIES, ImageConfig()) == build("a:1", reversed(ENTRIES), ImageConfig())


def test_entries_of_a_folder_are_its_files_folders_and_links(tmp_path):
    """Modes, data and links are taken over as they are."""
    (tmp_path / "bin").mkdir(mode=0o755)
    (tmp_path / "bin/x").write_bytes(b"1")
    (tmp_path / "bin/x").chmod(0o711)
    (tmp_path / "bin/y").symlink_to("x")
    assert entries_of(tmp_path) == [Entry("bin", 0o755), Entry("bin/x", 0o711, b"1"), Entry("bin/y", link="x")]


def elf(kind):
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    header[32:40] = (64).to_bytes(8, "little")
    header[54:58] = (56).to_bytes(2, "little") + (1).to_bytes(2, "little")
    return bytes(header) + kind.to_bytes(4, "little") + bytes(52)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param(elf(1), True, id="load-only"),
        pytest.param(elf(3), False, id="interpreter"),
        pytest.param(b"#!/bin/sh\n", False, id="script"),
    ],
)
def test_static_programs_ask_for_no_interpreter(program, expected):
    """A program that names an interpreter would not run in an image that holds nothing else."""
    assert is_static(program) is expected
