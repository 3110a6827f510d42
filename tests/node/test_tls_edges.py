"""Every TLS edge of a running cluster: wrong, expired and foreign certificates are refused by the API server and by the kubelet."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pinnace.component.tls import CertificateAuthority, KeyPair
from support.clusters import RunningCluster

SECONDS = 60.0
# What is asked of each; nobody without a name may have it.
PATHS = {"apiserver": "/metrics", "kubelet": "/healthz"}


def edges(real: RunningCluster) -> dict[str, str]:
    """Return where the API server and the kubelet listen."""
    (node,) = json.loads(real.kubectl()("get", "nodes", "-o", "json"))["items"]
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    server = json.loads(real.pinnace("status", "-o", "json"))["server"]
    return {"apiserver": urlsplit(server).netloc, "kubelet": f"127.0.0.1:{port}"}


def clusters_authority(real: RunningCluster) -> CertificateAuthority:
    pki = real.data_dir / "pki"
    return CertificateAuthority(KeyPair((pki / "ca.crt").read_bytes(), (pki / "ca.key").read_bytes()))


def ask(real: RunningCluster, edge: str, folder: Path, pair: KeyPair | None, ca_pem: bytes | None) -> int:
    """Return the code of an answer to somebody who shows a certificate and trusts an authority; None trusts anybody."""
    context = ssl.create_default_context(cadata=ca_pem.decode() if ca_pem is not None else None)
    # The kubelet's certificate is for the node's name and address, not for this loopback address.
    context.check_hostname = False
    if ca_pem is None:
        context.verify_mode = ssl.CERT_NONE
    if pair is not None:
        pair.write(folder / "client.crt", folder / "client.key")
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
    connection = http.client.HTTPSConnection(edges(real)[edge], context=context, timeout=10)
    try:
        connection.request("GET", PATHS[edge])
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("edge", ["apiserver", "kubelet"])
def test_certificates_that_nobody_may_trust_are_refused(real: RunningCluster, tmp_path: Path, edge: str) -> None:
    """Expired, of another authority, and made for a server: each ends the handshake; none at all is nobody."""
    authority, now = clusters_authority(real), time.time()
    masters = ["system:masters"]
    foreign = CertificateAuthority.create("kubernetes", now).issue_client("kubernetes-admin", masters, now)
    expired = authority.issue_client("kubernetes-admin", masters, now - 2 * SECONDS, lifetime_seconds=SECONDS)
    early = authority.issue_client("kubernetes-admin", masters, now + 10 * SECONDS)
    server = authority.issue_server("kubernetes-admin", ["localhost"], now, organizations=masters)
    for pair in (foreign, expired, early, server):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask(real, edge, tmp_path, pair, None)
    assert ask(real, edge, tmp_path, None, None) in {401, 403}
    good = authority.issue_client("kubernetes-admin", masters, now)
    assert ask(real, edge, tmp_path, good, authority.certificate_pem) == 200


@pytest.mark.parametrize("edge", ["apiserver", "kubelet"])
def test_servers_of_another_authority_are_refused(real: RunningCluster, tmp_path: Path, edge: str) -> None:
    """Who trusts another authority talks to neither server."""
    other = CertificateAuthority.create("kubernetes", time.time()).certificate_pem
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(real, edge, tmp_path, None, other)
