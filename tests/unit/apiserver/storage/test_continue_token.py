"""Tokens that continue a list: written, read back, and refused in upstream's words."""

import base64
import json

import pytest

from pinnace.apiserver.storage.continue_token import NEWEST, ContinueToken, decode
from pinnace.machinery.errors import BadRequest


def packed(tree: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(tree).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(ContinueToken(12, "default/a\0"), id="namespaced"),
        pytest.param(ContinueToken(12, "näme\0"), id="not-ascii"),
        pytest.param(ContinueToken(NEWEST, "a\0"), id="rest-as-it-is-now"),
    ],
)
def test_token_survives_the_client(token):
    """What a client hands back says what was written."""
    assert decode(token.encode()) == token


def test_token_has_upstreams_form():
    """Clients of old servers' tokens exist, and may show them."""
    text = ContinueToken(7, "default/a\0").encode()
    assert "=" not in text
    tree = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert tree == {"v": "meta.k8s.io/v1", "rv": 7, "start": "default/a\0"}


def test_token_may_begin_with_a_slash():
    """Older servers wrote the key so."""
    assert decode(packed({"v": "meta.k8s.io/v1", "rv": 7, "start": "/default/a"})).start == "default/a"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("a$b", "illegal base64 data at input byte 1", id="foreign-letter"),
        pytest.param("abcde", "illegal base64 data at input byte 4", id="odd-length"),
        pytest.param(
            packed({"v": "v0", "rv": 7, "start": "a"}),
            "server does not recognize this encoded version v0",
            id="version",
        ),
        pytest.param(
            packed({"v": "meta.k8s.io/v1", "start": "a"}),
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            id="no-revision",
        ),
        pytest.param(
            packed({"v": "meta.k8s.io/v1", "rv": 7}),
            "encoded start key empty (version meta.k8s.io/v1)",
            id="no-start",
        ),
        pytest.param(
            packed({"v": "meta.k8s.io/v1", "rv": 7, "start": "../secrets"}), "../secrets", id="out-of-the-prefix"
        ),
        pytest.param(packed({"v": "meta.k8s.io/v1", "rv": 7, "start": "a/../b"}), "a/../b", id="detour"),
    ],
)
def test_token_of_others_is_refused(text, complaint):
    """A made-up token leads nowhere, least of all out of the list it is for."""
    with pytest.raises(BadRequest) as refused:
        decode(text)
    assert refused.value.message == f"continue key is not valid: {complaint}"
