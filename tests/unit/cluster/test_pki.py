"""The keys of a cluster as they lie in its folder."""

import pytest

from pinnace.cluster.pki import load_or_create
from pinnace.component.tls import CertificateError

NOW = 1_800_000_000.0


def test_signing_key_is_kept(tmp_path):
    """A second start signs with the key of the first, so that tokens stay good."""
    first = load_or_create(tmp_path, NOW)
    again = load_or_create(tmp_path, NOW)
    assert again.signing_key.id == first.signing_key.id
    assert (tmp_path / "sa.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", id="damaged"),
    ],
)
def test_signing_key_that_cannot_be_read_is_named(tmp_path, content):
    """A damaged key is never replaced silently: every token made before would be refused."""
    load_or_create(tmp_path, NOW)
    (tmp_path / "sa.key").write_bytes(content)
    with pytest.raises(CertificateError, match=r"sa\.key: .*; remove it"):
        load_or_create(tmp_path, NOW)
