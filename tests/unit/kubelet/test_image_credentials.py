"""Which credentials of which secrets open which images."""

from __future__ import annotations

import base64
import json

import pytest

from pinnace.api import core_v1
from pinnace.kubelet.image_credentials import InvalidName, credentials, repository
from pinnace.kubelet.runtime import Credential


def secret(auths: dict[str, dict[str, str]], *, old: bool = False) -> core_v1.Secret:
    tree = auths if old else {"auths": auths}
    key, kind = (".dockercfg", "dockercfg") if old else (".dockerconfigjson", "dockerconfigjson")
    return core_v1.Secret(
        type=f"kubernetes.io/{kind}", data={key: base64.b64encode(json.dumps(tree).encode()).decode()}
    )


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.25@sha256:" + "a" * 64, "docker.io/library/nginx"),
        ("team/app:1", "docker.io/team/app"),
        ("docker.io/team/app", "docker.io/team/app"),
        ("registry.example:5000/a/b/c:1", "registry.example:5000/a/b/c"),
        ("localhost/app", "localhost/app"),
    ],
)
def test_repository_is_the_full_name(image: str, expected: str) -> None:
    """Registry and folder are filled in by Docker's custom; tag and digest are left out."""
    assert repository(image) == expected


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("Nginx", "invalid reference format: repository name (library/Nginx) must be lowercase"),
        ("a b", "invalid reference format"),
        ("app:", "invalid reference format"),
        ("-x/", "invalid reference format"),
    ],
)
def test_names_that_are_none_are_refused(image: str, reason: str) -> None:
    """The reason is the one that people know from upstream."""
    with pytest.raises(InvalidName) as caught:
        repository(image)
    assert str(caught.value) == f'couldn\'t parse image name "{image}": {reason}'


@pytest.mark.parametrize(
    ("place", "image", "fits"),
    [
        ("registry.example", "registry.example/app", True),
        ("https://registry.example/v1/", "registry.example/app", True),
        ("registry.example:5000", "registry.example/app", False),
        ("*.example", "registry.example/app", True),
        ("*.example", "a.registry.example/app", False),
        ("registry.example/team", "registry.example/team/app", True),
        ("registry.example/team", "registry.example/other/app", False),
        ("https://index.docker.io/v1/", "nginx", True),
        ("docker.io", "team/app", True),
    ],
)
def test_entry_fits_by_host_port_and_path(place: str, image: str, fits: bool) -> None:
    """Places are compared part by part."""
    found = credentials(image, [secret({place: {"username": "u", "password": "p"}})])
    assert found == ((Credential("u", "p"),) if fits else ())


def test_most_specific_entry_comes_first() -> None:
    """A longer path goes before its registry; the same credential comes once."""
    auths = {
        "registry.example": {"username": "all", "password": "1"},
        "registry.example/team/app": {"auth": base64.b64encode(b"one:2").decode()},
        "registry.example/team": {"username": "all", "password": "1"},
    }
    found = credentials("registry.example/team/app:7", [secret(auths), secret(auths, old=True)])
    assert found == (Credential("one", "2"), Credential("all", "1"))


def test_unreadable_secret_is_skipped() -> None:
    """What is no JSON, and what has no entry, gives nothing."""
    broken = core_v1.Secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "bm90IGpzb24="})
    assert credentials("nginx", [broken, core_v1.Secret(type="Opaque")]) == ()
