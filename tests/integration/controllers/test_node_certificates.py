"""Requests for nodes' certificates: who gets one, for what, and what becomes of requests that nobody may have."""

import base64
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from pinnace.api.certificates_v1 import CertificateSigningRequest, CertificateSigningRequestSpec
from pinnace.api.core_v1 import Node, NodeAddress, NodeStatus
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import InformerFactory
from pinnace.cluster.join_access import DEFAULT_NODE_TOKEN, grant_joining
from pinnace.component.certificate_requests import make_request
from pinnace.component.http import UserInfo
from pinnace.component.lifecycle import running
from pinnace.component.tls import CertificateAuthority, certificate_facts
from pinnace.controllers.certificate_requests import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, condition
from pinnace.controllers.certificate_signer import CertificateSigner
from pinnace.machinery.errors import Forbidden
from pinnace.testing import Cluster

AUTHENTICATED = "system:authenticated"
NODE = UserInfo("system:node:n1", groups=("system:nodes", AUTHENTICATED))
JOINING = UserInfo("system:bootstrap:abcdef", groups=("system:bootstrappers", DEFAULT_NODE_TOKEN, AUTHENTICATED))
STRANGER = UserInfo("system:bootstrap:abcdef", groups=("system:bootstrappers", AUTHENTICATED))
ADMIN = UserInfo("kubernetes-admin", groups=("system:masters", AUTHENTICATED))
CLIENT_USAGES, SERVER_USAGES = ("digital signature", "client auth"), ("digital signature", "server auth")


@pytest.fixture
async def signing(cluster: Cluster) -> AsyncIterator[Cluster]:
    """A cluster that lets nodes join and signs for them."""
    authority = CertificateAuthority.create("kubernetes", cluster.clock.time())
    await grant_joining(cluster.client, "https://192.0.2.1:6443", authority.certificate_pem)
    informers = InformerFactory(cluster.client, cluster.clock)
    signer = CertificateSigner(cluster.client, informers, cluster.clock, authority=authority)
    async with running("informers", informers.run), running("signer", signer.run):
        await cluster.settle()
        yield cluster


async def ask(
    cluster: Cluster,
    user: UserInfo,
    signer: str = KUBELET_CLIENT,
    *,
    subject: str = "system:node:n1",
    names: tuple[str, ...] = (),
    usages: tuple[str, ...] = CLIENT_USAGES,
) -> CertificateSigningRequest:
    """Ask, and return the request as it is once nothing goes on any more; the administrator makes it on behalf of `user`."""
    made = make_request(subject, ["system:nodes"] if subject.startswith("system:node:") else [], names)
    spec = CertificateSigningRequestSpec(
        request=base64.b64encode(made.request_pem).decode(), signer_name=signer, usages=usages
    )
    client = cluster.client_as(user)
    asked = await client.create(CertificateSigningRequest(metadata=ObjectMeta(generate_name="csr-"), spec=spec))
    await cluster.settle()
    return await cluster.client.get(CertificateSigningRequest, asked.metadata.name)


def state(request: CertificateSigningRequest) -> tuple[list[str], bool]:
    return [one.type for one in request.status.conditions], bool(request.status.certificate)


async def test_joining_node_gets_the_certificate_that_it_asks_for(signing: Cluster) -> None:
    """By a token of the right group, with upstream's reason and message; it names the node and its group."""
    asked = await ask(signing, JOINING)
    assert state(asked) == (["Approved"], True)
    (approved,) = asked.status.conditions
    assert (approved.reason, approved.message) == (
        "AutoApproved",
        "Auto approving kubelet client certificate after SubjectAccessReview.",
    )
    facts = certificate_facts(base64.b64decode(asked.status.certificate))
    assert (facts.common_name, facts.organizations, facts.names) == ("system:node:n1", ("system:nodes",), ())


async def test_node_renews_its_own_certificate(signing: Cluster) -> None:
    """About itself it needs no token, and the message says so."""
    asked = await ask(signing, NODE)
    assert state(asked) == (["Approved"], True)
    assert asked.status.conditions[0].message == (
        "Auto approving self kubelet client certificate after SubjectAccessReview."
    )


@pytest.mark.parametrize(
    ("user", "usages", "names"),
    [
        pytest.param(JOINING, SERVER_USAGES, (), id="usages of a server"),
        pytest.param(JOINING, CLIENT_USAGES, ("n1",), id="names"),
    ],
)
async def test_request_that_may_not_be_granted_waits_for_a_person(
    signing: Cluster, user: UserInfo, usages: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """Nobody approves it, and nobody denies it either."""
    assert state(await ask(signing, user, usages=usages, names=names)) == ([], False)


@pytest.mark.parametrize("signer", [KUBELET_CLIENT, KUBELET_SERVING])
async def test_node_may_not_ask_in_the_name_of_another(signing: Cluster, signer: str) -> None:
    """It is refused at once, in upstream's words."""
    usages = CLIENT_USAGES if signer == KUBELET_CLIENT else SERVER_USAGES
    with pytest.raises(Forbidden, match=r"can only create a node CSR with CN=system:node:n1$"):
        await ask(signing, NODE, signer, subject="system:node:n2", usages=usages)


async def test_token_without_the_group_may_not_even_ask(signing: Cluster) -> None:
    """What a token may do is what its groups may."""
    with pytest.raises(Forbidden):
        await ask(signing, STRANGER)


async def test_serving_certificate_is_for_the_addresses_of_the_node_alone(signing: Cluster) -> None:
    """A node that asks for a name that is not its own, or before its addresses are known, is not granted it."""
    asked = await ask(signing, NODE, KUBELET_SERVING, names=("n1", "192.0.2.7"), usages=SERVER_USAGES)
    assert state(asked) == ([], False)
    made = await signing.client.create(Node(metadata=ObjectMeta(name="n1")))
    addresses = (NodeAddress(type="InternalIP", address="192.0.2.7"), NodeAddress(type="Hostname", address="n1"))
    await signing.client.update(replace(made, status=NodeStatus(addresses=addresses)), subresource="status")
    await signing.settle()
    assert state(await signing.client.get(CertificateSigningRequest, asked.metadata.name)) == (["Approved"], True)
    foreign = await ask(signing, NODE, KUBELET_SERVING, names=("n1", "192.0.2.8"), usages=SERVER_USAGES)
    assert state(foreign) == ([], False)


async def test_approved_request_that_breaks_the_signers_rules_fails(signing: Cluster) -> None:
    """Whoever approved it: the signer says why not, and gives nothing."""
    asked = await ask(signing, ADMIN, CLIENT, subject="jane", usages=("digital signature", "client auth", "cert sign"))
    await approve(signing, asked)
    found = await signing.client.get(CertificateSigningRequest, asked.metadata.name)
    assert state(found) == (["Approved", "Failed"], False)
    assert found.status.conditions[1].reason == "SignerValidationFailure"


async def test_approved_request_of_a_person_is_signed(signing: Cluster) -> None:
    """kube-apiserver-client asks for a person's yes, and then for no more."""
    asked = await ask(signing, ADMIN, CLIENT, subject="jane")
    assert state(asked) == ([], False)
    await approve(signing, asked)
    found = await signing.client.get(CertificateSigningRequest, asked.metadata.name)
    assert state(found) == (["Approved"], True)
    assert certificate_facts(base64.b64decode(found.status.certificate)).common_name == "jane"


async def approve(cluster: Cluster, request: CertificateSigningRequest) -> None:
    """Say yes, as `kubectl certificate approve` does."""
    yes = condition("Approved", "ByHand", "")
    status = replace(request.status, conditions=(yes,))
    await cluster.client.update(replace(request, status=status), subresource="approval")
    await cluster.settle()
