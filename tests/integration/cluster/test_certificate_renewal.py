"""The certificates of a node whose agent runs: renewed in the last fifth of their life, while they are in use."""

from pathlib import Path

from pinnace.api.core_v1 import Node, NodeAddress, NodeStatus
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import InformerFactory
from pinnace.cluster.join_access import grant_joining
from pinnace.cluster.node_certificates import CertificateFiles, NodeCertificates
from pinnace.component.http import UserInfo
from pinnace.component.lifecycle import running
from pinnace.component.tls import CertificateAuthority, certificate_facts
from pinnace.controllers.certificate_signer import CertificateSigner
from pinnace.testing import Cluster

NODE = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
LIFETIME_SECONDS = 36_000.0


async def test_running_agent_renews_its_certificate(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing happens before; then there is a new key with a new certificate, in use and on disk, for the same node."""
    authority = CertificateAuthority.create("kubernetes", cluster.clock.time())
    await grant_joining(cluster.client, "https://192.0.2.1:6443", authority.certificate_pem)
    addresses = (NodeAddress(type="InternalIP", address="192.0.2.7"),)
    await cluster.client.create(Node(metadata=ObjectMeta(name="n1"), status=NodeStatus(addresses=addresses)))
    files = CertificateFiles(tmp_path / "pki")
    first = authority.issue_client(NODE.name, ["system:nodes"], cluster.clock.time(), lifetime_seconds=LIFETIME_SECONDS)
    files.write("client", first)
    certificates = NodeCertificates(files, cluster.clock, "n1", "https://192.0.2.1:6443", authority.certificate_pem)
    informers = InformerFactory(cluster.client, cluster.clock)
    signer = CertificateSigner(cluster.client, informers, cluster.clock, authority=authority)
    client = cluster.client_as(NODE)
    async with (
        running("informers", informers.run),
        running("signer", signer.run),
        running("renewal", lambda: certificates.run(client)),
    ):
        await cluster.clock.advance(LIFETIME_SECONDS * 0.7)
        assert certificates.client_pair == first
        await cluster.clock.advance(LIFETIME_SECONDS * 0.2)
    second = certificates.client_pair
    assert second.key_pem != first.key_pem
    assert files.read("client") == second
    before, now = certificate_facts(first.certificate_pem), certificate_facts(second.certificate_pem)
    assert now.not_after > before.not_after
    assert not now.needs_renewal(cluster.clock.time())
