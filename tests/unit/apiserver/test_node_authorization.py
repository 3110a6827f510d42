import pytest

from pinnace.api.core_v1 import (
    ConfigMapVolumeSource,
    Container,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    LocalObjectReference,
    PersistentVolumeClaimVolumeSource,
    Pod,
    PodSpec,
    ProjectedVolumeSource,
    SecretEnvSource,
    SecretKeySelector,
    SecretProjection,
    SecretVolumeSource,
    Volume,
    VolumeProjection,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authorization import Attributes, Authorizers, BootstrapAuthorizer, Decision, NodeAuthorizer
from pinnace.component.http import UserInfo

NODE = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))


def pod(name, node):
    """A pod that uses one object of each kind in each way, named after itself."""
    environment = (
        EnvVar(name="A", value_from=EnvVarSource(secret_key_ref=SecretKeySelector(name=f"{name}-env", key="k"))),
    )
    return Pod(
        metadata=ObjectMeta(name=name, namespace="ns"),
        spec=PodSpec(
            node_name=node,
            service_account_name=f"{name}-account",
            image_pull_secrets=(LocalObjectReference(name=f"{name}-pull"),),
            init_containers=(
                Container(name="i", env_from=(EnvFromSource(secret_ref=SecretEnvSource(name=f"{name}-from")),)),
            ),
            containers=(Container(name="c", env=environment),),
            volumes=(
                Volume(name="s", secret=SecretVolumeSource(secret_name=f"{name}-volume")),
                Volume(name="m", config_map=ConfigMapVolumeSource(name=f"{name}-map")),
                Volume(name="d", persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=f"{name}-claim")),
                Volume(
                    name="p",
                    projected=ProjectedVolumeSource(
                        sources=(VolumeProjection(secret=SecretProjection(name=f"{name}-projected")),)
                    ),
                ),
            ),
        ),
    )


class Objects:
    def __init__(self, *pods):
        self.pods = pods

    async def list(self, cls, namespace=""):
        return tuple(one for one in self.pods if one.metadata.namespace == namespace)


async def ask(resource, name, verb="get", namespace="ns", user=NODE):
    plural, _, subresource = resource.partition("/")
    attributes = Attributes(
        user=user, verb=verb, is_resource=True, resource=plural, subresource=subresource, namespace=namespace, name=name
    )
    authorizer = Authorizers(NodeAuthorizer(Objects(pod("mine", "n1"), pod("other", "n2"))), BootstrapAuthorizer())
    return await authorizer.authorize(attributes)


@pytest.mark.parametrize(
    ("resource", "use", "verb"),
    [
        *[("secrets", use, "get") for use in ("env", "from", "pull", "volume", "projected")],
        ("secrets", "volume", "watch"),
        ("configmaps", "map", "list"),
        ("persistentvolumeclaims", "claim", "get"),
        ("serviceaccounts/token", "account", "create"),
    ],
)
async def test_node_reads_what_its_own_pods_use_and_nothing_of_others(resource, use, verb):
    """Each way of use gives access on the pod's node, and none on another."""
    assert (await ask(resource, f"mine-{use}", verb)).decision is Decision.ALLOWED
    denied = await ask(resource, f"other-{use}", verb)
    assert denied.decision is Decision.DENIED
    assert denied.reason == "no relationship found between node 'n1' and this object"


@pytest.mark.parametrize(("name", "namespace"), [("", "ns"), ("", ""), ("mine-volume", "")])
async def test_node_lists_no_secrets_without_naming_one(name, namespace):
    """A list or watch is of one object only."""
    denied = await ask("secrets", name, "list", namespace)
    assert (denied.decision, denied.reason) == (Decision.DENIED, "can only read namespaced object of this type")


async def test_use_in_another_namespace_counts_for_nothing():
    """The pod and what it uses share their namespace."""
    assert (await ask("secrets", "mine-volume", namespace="elsewhere")).decision is Decision.DENIED


async def test_what_is_not_guarded_is_left_to_the_nodes_role():
    """Other kinds, and users that are no nodes, are not this authorizer's business."""
    assert (await ask("services", "", "list")).decision is Decision.ALLOWED
    admin = UserInfo("admin", groups=("system:masters",))
    assert (await ask("secrets", "x", user=admin)).decision is Decision.ALLOWED
