"""Images made of folders and programs, and the names that an archive holds."""

import gzip
import io
import json
import tarfile

import pytest

from pinnace.cluster.image_archive import Entry, ImageConfig, NoArchive, build, names_in
from pinnace.cluster.image_builds import ImageBuildError, gather, with_entrypoint

# The head of an ELF file of 64 bits without program headers, so without an interpreter.
STATIC = b"\x7fELF\x02\x01" + bytes(58)


def tar(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("_json", ".json"))
            data = json.dumps(content).encode()
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


OCI = tar(
    index_json={
        "manifests": [
            {
                "annotations": {
                    "org.opencontainers.image.ref.name": "v1",
                    "io.containerd.image.name": "docker.io/a/b:v1",
                }
            },
            {"digest": "sha256:0"},
        ]
    }
)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        pytest.param(build("a/b:v1", [Entry("x", data=b"1")], ImageConfig()), ("a/b:v1",), id="docker"),
        pytest.param(gzip.compress(build("a/b:v1", [], ImageConfig())), ("a/b:v1",), id="packed"),
        pytest.param(OCI, ("docker.io/a/b:v1",), id="oci"),
    ],
)
def test_names_of_an_archive_are_those_it_was_saved_by(tmp_path, data, names):
    """Docker's and the OCI's layout are read, packed or not; what has no name is passed over."""
    (tmp_path / "a.tar").write_bytes(data)
    assert names_in(tmp_path / "a.tar") == names


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"no archive", "no image archive", id="other-file"),
        pytest.param(b"", "no image archive", id="empty"),
        pytest.param(tar(other=1), "no image that has a name", id="other-tar"),
        pytest.param(tar(manifest_json=[{"RepoTags": None}]), "no image that has a name", id="nameless"),
        pytest.param(tar(manifest_json=5), "no image archive", id="nonsense-manifest"),
        pytest.param(tar(manifest_json=[{"RepoTags": ["a:1"]}])[:520], "no image archive", id="cut-short"),
    ],
)
def test_what_is_no_archive_is_refused_by_name(tmp_path, data, words):
    """The file and the reason are told."""
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(NoArchive, match=words) as refused:
        names_in(tmp_path / "a.tar")
    assert str(tmp_path / "a.tar") in str(refused.value)


def test_folders_become_the_root_and_programs_land_in_bin(tmp_path):
    """What is given later replaces what it meets."""
    root, program = tmp_path / "root", tmp_path / "tool"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_bytes(b"old")
    program.write_bytes(STATIC)
    entries = {entry.path: entry.data for entry in gather([root, program])}
    assert entries == {"bin": None, "bin/tool": STATIC}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"#!/bin/sh\n", "no static program", id="script"),
        pytest.param(None, "neither a folder nor a file", id="missing"),
    ],
)
def test_what_cannot_run_in_an_image_is_refused(tmp_path, content, words):
    """A program that needs more than itself is named."""
    path = tmp_path / "tool"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageBuildError, match=words):
        gather([path])


def test_the_only_program_is_what_an_image_runs(tmp_path):
    """An entrypoint that is given wins; a folder alone says nothing."""
    program = tmp_path / "tool"
    program.write_bytes(STATIC)
    assert with_entrypoint(ImageConfig(), [program, tmp_path]).entrypoint == ("/bin/tool",)
    given = ImageConfig(entrypoint=("/bin/sh",))
    assert with_entrypoint(given, [program]) is given
    with pytest.raises(ImageBuildError, match="--entrypoint"):
        with_entrypoint(ImageConfig(), [tmp_path])
