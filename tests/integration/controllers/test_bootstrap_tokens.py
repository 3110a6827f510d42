"""Bootstrap tokens: they sign what joining nodes are told, let them in, and go when their time is over."""

import jwt
import pytest
from msgspec.structs import replace

from pinnace.api.core_v1 import ConfigMap, Node, NodeAddress, NodeStatus, Secret
from pinnace.api.discovery_v1 import EndpointSlice
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client
from pinnace.cluster.join_access import grant_joining
from pinnace.cluster.token_secrets import create_token, delete_token, list_tokens
from pinnace.component.identity import system_identity
from pinnace.controllers.bootstrap_tokens import INFO, INFO_NAMESPACE, KUBECONFIG, SIGNATURE_PREFIX, signature
from pinnace.controllers.dns_endpoints import PORTS_ANNOTATION
from pinnace.machinery.errors import NotFound
from pinnace.testing import Cluster


async def signatures(client: Client) -> dict[str, str]:
    data = (await client.get(ConfigMap, INFO, INFO_NAMESPACE)).data
    return {key: value for key, value in data.items() if key != KUBECONFIG}


def test_signature_is_a_detached_one_as_kubeadm_makes_it() -> None:
    """Header and signature of RFC 7515 with nothing between, keyed by the token's secret; computed by another implementation."""
    secret = "0123456789abcdef" * 2  # twice as long as a token's, since the other implementation insists
    made = signature("content", "abcdef", secret)
    header, between, signed = made.split(".")
    assert between == ""
    whole = jwt.api_jws.encode(
        b"content", secret, algorithm="HS256", headers={"kid": "abcdef", "typ": None}, sort_headers=True
    )
    assert (header, signed) == (whole.split(".")[0], whole.split(".")[2])


async def test_tokens_sign_the_cluster_info_while_they_live(cluster: Cluster) -> None:
    """Each adds its signature of what is said there; when its time is over, the signature and the Secret go."""
    await grant_joining(cluster.client, "https://192.0.2.1:6443", b"pem")
    now = cluster.clock.time()
    short = await create_token(cluster.client, system_identity(), now, lifetime_seconds=600)
    long = await create_token(cluster.client, system_identity(), now, lifetime_seconds=0)
    await cluster.settle()
    info = (await cluster.client.get(ConfigMap, INFO, INFO_NAMESPACE)).data[KUBECONFIG]
    assert await signatures(cluster.client) == {
        SIGNATURE_PREFIX + token.id: signature(info, token.id, token.secret) for token in (short, long)
    }
    assert [token.id for token in await list_tokens(cluster.client)] == [short.id, long.id]
    await cluster.clock.advance(seconds=601)
    assert set(await signatures(cluster.client)) == {SIGNATURE_PREFIX + long.id}
    with pytest.raises(NotFound):
        await cluster.client.get(Secret, f"bootstrap-token-{short.id}", "kube-system")
    await delete_token(cluster.client, long.id)
    await cluster.settle()
    assert await signatures(cluster.client) == {}


async def test_cluster_info_that_is_changed_is_signed_anew(cluster: Cluster) -> None:
    """A server that has moved says so, and the token vouches for what it says now."""
    await grant_joining(cluster.client, "https://192.0.2.1:6443", b"pem")
    token = await create_token(cluster.client, system_identity(), cluster.clock.time(), lifetime_seconds=0)
    await cluster.settle()
    await grant_joining(cluster.client, "https://192.0.2.1:7443", b"pem")
    await cluster.settle()
    info = (await cluster.client.get(ConfigMap, INFO, INFO_NAMESPACE)).data[KUBECONFIG]
    assert ":7443" in info
    assert await signatures(cluster.client) == {SIGNATURE_PREFIX + token.id: signature(info, token.id, token.secret)}


async def test_dns_of_a_node_is_found_where_the_node_says(cluster: Cluster) -> None:
    """The slice follows the annotation, and goes with it; ports that are none lead nowhere."""
    name = "n1"
    made = await cluster.client.create(Node(metadata=ObjectMeta(name=name)))
    addresses = (NodeAddress(type="InternalIP", address="192.0.2.7"),)
    await cluster.client.update(replace(made, status=NodeStatus(addresses=addresses)), subresource="status")

    async def ports(annotation: str | None) -> list[int | None]:
        await cluster.client.patch(Node, name, {"metadata": {"annotations": {PORTS_ANNOTATION: annotation}}})
        await cluster.settle()
        try:
            found = await cluster.client.get(EndpointSlice, f"kube-dns-{name}", "kube-system")
        except NotFound:
            return []
        assert found.endpoints[0].node_name == name
        return [port.port for port in found.ports]

    assert await ports("1053,9153") == [1053, 1053, 9153]
    assert await ports("1054,9153") == [1054, 1054, 9153]
    assert await ports("1054,99999") == []
    assert await ports("nonsense") == []
    assert await ports("1053,9153") == [1053, 1053, 9153]
    assert await ports(None) == []
