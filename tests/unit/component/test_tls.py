import ssl
import stat

import pytest

from pinnace.component.tls import (
    CertificateAuthority,
    CertificateError,
    KeyPair,
    certificate_facts,
    client_context,
    server_context,
)

NOW = 1_800_000_000.0
DAY = 86400.0


@pytest.fixture(scope="module")
def authority():
    return CertificateAuthority.create("pinnace-ca", NOW)


def test_server_certificate_says_its_names_and_life(authority):
    """DNS names and addresses, and a year of validity with a little head start."""
    facts = certificate_facts(
        authority.issue_server("apiserver", ["kubernetes", "10.96.0.1", "::1"], NOW).certificate_pem
    )
    assert facts.names == ("kubernetes", "10.96.0.1", "::1")
    assert facts.not_before == NOW - 300
    assert facts.not_after == NOW + 365 * DAY
    assert not facts.is_ca


def test_client_certificate_says_user_and_groups_in_order(authority):
    """The subject holds the user and the groups; long names of nodes fit."""
    name = "system:node:" + "n" * 63
    facts = certificate_facts(authority.issue_client(name, ["system:nodes", "a"], NOW).certificate_pem)
    assert (facts.common_name, facts.organizations) == (name, ("system:nodes", "a"))


def test_nothing_outlives_its_authority():
    """A certificate ends at the latest with the one that signed it."""
    short = CertificateAuthority.create("short", NOW, lifetime_seconds=30 * DAY)
    assert certificate_facts(short.issue_client("x", [], NOW).certificate_pem).not_after == NOW + 30 * DAY


@pytest.mark.parametrize(
    ("days", "renew", "expired"), [(0, False, False), (291, False, False), (293, True, False), (366, True, True)]
)
def test_certificate_wants_renewal_in_the_last_fifth_of_its_life(authority, days, renew, expired):
    """Renewal comes well before the end."""
    facts = certificate_facts(authority.issue_client("x", [], NOW).certificate_pem)
    assert facts.needs_renewal(NOW + days * DAY) is renew
    assert facts.is_expired(NOW + days * DAY) is expired


def test_authority_is_read_back_and_refuses_what_is_none(authority):
    """A stored authority signs on; a wrong key or an ordinary certificate is told apart."""
    assert CertificateAuthority(authority.key_pair).certificate_pem == authority.certificate_pem
    leaf = authority.issue_client("x", [], NOW)
    with pytest.raises(CertificateError, match="not one of an authority"):
        CertificateAuthority(leaf)
    with pytest.raises(CertificateError, match="does not belong"):
        CertificateAuthority(KeyPair(authority.certificate_pem, leaf.key_pem))
    with pytest.raises(CertificateError, match="PEM"):
        CertificateAuthority(KeyPair(b"nonsense", leaf.key_pem))


def test_key_files_are_private_and_keys_stay_out_of_reprs(authority, tmp_path):
    """The key file is readable by its owner only, also when an open one was there before."""
    pair = authority.issue_client("x", [], NOW)
    key = tmp_path / "x.key"
    key.write_bytes(b"old")
    key.chmod(0o666)
    pair.write(tmp_path / "x.crt", key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_bytes() == pair.key_pem
    assert "PRIVATE" not in repr(pair)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.crt", "x.key"]


def test_contexts_speak_tls_1_2_or_later_and_ask_for_client_certificates(authority):
    """Old versions are off; a server with a client authority asks without insisting."""
    pair = authority.issue_server("s", ["localhost"], NOW)
    context = server_context(pair, authority.certificate_pem)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert server_context(pair, None).verify_mode is ssl.CERT_NONE
    client = client_context(authority.certificate_pem)
    assert client.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (client.verify_mode, client.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_key_pair_that_does_not_match_is_told(authority):
    """A certificate with somebody else's key is no key pair."""
    one, two = authority.issue_server("s", [], NOW), authority.issue_server("s", [], NOW)
    with pytest.raises(CertificateError, match="cannot be used"):
        server_context(KeyPair(one.certificate_pem, two.key_pem), None)
