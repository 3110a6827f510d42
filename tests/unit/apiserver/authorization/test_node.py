import pytest

from pinnace.api.core_v1 import (
    ConfigMapVolumeSource,
    Container,
    CSIPersistentVolumeSource,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    EphemeralVolumeSource,
    LocalObjectReference,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaimVolumeSource,
    PersistentVolumeSpec,
    Pod,
    PodResourceClaim,
    PodResourceClaimStatus,
    PodSpec,
    PodStatus,
    ProjectedVolumeSource,
    SecretEnvSource,
    SecretKeySelector,
    SecretProjection,
    SecretReference,
    SecretVolumeSource,
    Volume,
    VolumeProjection,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resource_v1 import ResourceSlice, ResourceSliceSpec
from pinnace.api.storage_v1 import VolumeAttachment, VolumeAttachmentSpec
from pinnace.apiserver.authorization import Decision
from pinnace.machinery.selectors import parse_fields
from support.authorization import Policy, node, resource, user

NODE = node("n1")
NO_TIE = "no relationship found between node 'n1' and this object"
SLICES, CLAIMS, STORAGE, LEASES = "resource.k8s.io", "resource.k8s.io", "storage.k8s.io", "coordination.k8s.io"


def make_pod(name, node_name, **metadata):
    """A pod that uses one object of each kind in each way, named after itself."""
    environment = (
        EnvVar(name="A", value_from=EnvVarSource(secret_key_ref=SecretKeySelector(name=f"{name}-env", key="k"))),
    )
    return Pod(
        metadata=ObjectMeta(name=name, namespace="ns", **metadata),
        spec=PodSpec(
            node_name=node_name,
            service_account_name=f"{name}-account",
            image_pull_secrets=(LocalObjectReference(name=f"{name}-pull"),),
            init_containers=(
                Container(name="i", env_from=(EnvFromSource(secret_ref=SecretEnvSource(name=f"{name}-from")),)),
            ),
            containers=(Container(name="c", env=environment),),
            resource_claims=(
                PodResourceClaim(name="named", resource_claim_name=f"{name}-device"),
                PodResourceClaim(name="made", resource_claim_template_name="t"),
            ),
            volumes=(
                Volume(name="s", secret=SecretVolumeSource(secret_name=f"{name}-volume")),
                Volume(name="m", config_map=ConfigMapVolumeSource(name=f"{name}-map")),
                Volume(name="d", persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=f"{name}-claim")),
                Volume(name="e", ephemeral=EphemeralVolumeSource()),
                Volume(
                    name="p",
                    projected=ProjectedVolumeSource(
                        sources=(VolumeProjection(secret=SecretProjection(name=f"{name}-projected")),)
                    ),
                ),
            ),
        ),
        status=PodStatus(
            resource_claim_statuses=(PodResourceClaimStatus(name="made", resource_claim_name=f"{name}-made"),)
        ),
    )


def make_volume(name):
    """A volume of the pod's claim, with one secret for nodes and one for controllers."""
    return PersistentVolume(
        metadata=ObjectMeta(name=f"{name}-pv"),
        spec=PersistentVolumeSpec(
            claim_ref=ObjectReference(namespace="ns", name=f"{name}-claim"),
            csi=CSIPersistentVolumeSource(
                driver="d",
                volume_handle="v",
                node_stage_secret_ref=SecretReference(name=f"{name}-stage", namespace="ns"),
                controller_publish_secret_ref=SecretReference(name=f"{name}-publish", namespace="ns"),
            ),
        ),
    )


def make_policy():
    """Two nodes with the same things on them."""
    things = []
    for name, where in (("mine", "n1"), ("other", "n2")):
        things += [make_pod(name, where), make_volume(name)]
        things.append(
            VolumeAttachment(metadata=ObjectMeta(name=f"{name}-att"), spec=VolumeAttachmentSpec(node_name=where))
        )
        things.append(ResourceSlice(metadata=ObjectMeta(name=f"{name}-slice"), spec=ResourceSliceSpec(node_name=where)))
    mirror = make_pod("mirror", "n1", annotations={"kubernetes.io/config.mirror": "x"})
    return Policy(*things, mirror)


async def ask(what, name, verb="get", group="", namespace="ns", who=NODE, fields="", policy=None):
    wanted = resource(who, verb, what, group, namespace=namespace, name=name, fields=parse_fields(fields))
    return await (policy or make_policy()).authorizer.authorize(wanted)


@pytest.mark.parametrize(
    ("what", "use", "verb", "group", "namespace"),
    [
        *[("secrets", use, "get", "", "ns") for use in ("env", "from", "pull", "volume", "projected", "stage")],
        ("secrets", "volume", "watch", "", "ns"),
        ("configmaps", "map", "list", "", "ns"),
        ("persistentvolumeclaims", "claim", "get", "", "ns"),
        ("persistentvolumeclaims", "e", "get", "", "ns"),
        ("persistentvolumeclaims/status", "claim", "patch", "", "ns"),
        ("persistentvolumes", "pv", "get", "", ""),
        ("serviceaccounts", "account", "get", "", "ns"),
        ("serviceaccounts/token", "account", "create", "", "ns"),
        ("resourceclaims", "device", "get", CLAIMS, "ns"),
        ("resourceclaims", "made", "get", CLAIMS, "ns"),
        ("resourceslices", "slice", "update", SLICES, ""),
        ("volumeattachments", "att", "get", STORAGE, ""),
    ],
)
async def test_node_reaches_what_its_own_pods_use_and_nothing_of_others(what, use, verb, group, namespace):
    """Each way of use gives access on the pod's node, and none on another."""
    assert (await ask(what, f"mine-{use}", verb, group, namespace)).decision is Decision.ALLOWED
    denied = await ask(what, f"other-{use}", verb, group, namespace)
    assert (denied.decision, denied.reason) == (Decision.NO_OPINION, NO_TIE)


@pytest.mark.parametrize(
    ("what", "name", "verb", "group", "namespace", "reason"),
    [
        ("secrets", "", "list", "", "ns", "No Object name found"),
        ("secrets", "mine-volume", "list", "", "", "can only read namespaced object of this type"),
        ("secrets", "mine-volume", "delete", "", "ns", "can only read resources of this type"),
        ("secrets", "mine-publish", "get", "", "ns", NO_TIE),
        ("secrets", "mirror-volume", "get", "", "ns", NO_TIE),
        ("secrets", "mine-volume", "get", "", "elsewhere", NO_TIE),
        ("configmaps/x", "mine-map", "get", "", "ns", "cannot read subresource"),
        ("persistentvolumeclaims", "mine-claim", "list", "", "ns", "can only get individual resources of this type"),
        ("persistentvolumes/status", "mine-pv", "get", "", "", "cannot get subresource"),
        ("persistentvolumeclaims/status", "mine-claim", "get", "", "ns", "can only get/update/patch this type"),
        ("serviceaccounts/token", "other-account", "create", "", "ns", NO_TIE),
        ("serviceaccounts", "", "list", "", "ns", "can only create tokens for individual service accounts"),
        (
            "serviceaccounts/x",
            "mine-account",
            "create",
            "",
            "ns",
            "can only create token subresource of serviceaccount",
        ),
        ("nodes", "n2", "get", "", "", "node 'n1' cannot read 'n2', only its own Node object"),
        ("nodes", "", "list", "", "", "node 'n1' cannot read all nodes, only its own Node object"),
        ("nodes", "n1", "delete", "", "", ""),
        ("nodes/proxy", "n1", "get", "", "", ""),
        ("pods", "other", "get", "", "ns", NO_TIE),
        ("pods", "", "list", "", "", "can only list/watch pods with spec.nodeName field selector"),
        ("pods", "mine", "update", "", "ns", ""),
        ("pods/exec", "mine", "create", "", "ns", ""),
        (
            "leases",
            "n1",
            "list",
            LEASES,
            "kube-node-lease",
            "can only get, create, update, patch, or delete a node lease",
        ),
        ("leases", "n1", "get", LEASES, "ns", 'can only access leases in the "kube-node-lease" system namespace'),
        (
            "leases",
            "n2",
            "update",
            LEASES,
            "kube-node-lease",
            "can only access node lease with the same name as the requesting node",
        ),
        ("csinodes", "n2", "get", STORAGE, "", "can only access CSINode with the same name as the requesting node"),
        ("csinodes", "", "list", STORAGE, "", "can only get, create, update, patch, or delete a CSINode"),
        ("csinodes/status", "n1", "get", STORAGE, "", "cannot authorize CSINode subresources"),
        ("resourceslices/status", "mine-slice", "get", SLICES, "", "cannot authorize ResourceSlice subresources"),
        (
            "resourceslices",
            "",
            "list",
            SLICES,
            "",
            "can only list/watch/deletecollection resourceslices with nodeName field selector",
        ),
    ],
)
async def test_node_is_refused_with_upstreams_reason(what, name, verb, group, namespace, reason):
    """What is no business of this node gets no opinion here, and none from any role."""
    refused = await ask(what, name, verb, group, namespace)
    assert (refused.decision, refused.reason) == (Decision.NO_OPINION, reason)


@pytest.mark.parametrize(
    ("what", "name", "verb", "group", "namespace", "fields"),
    [
        ("nodes", "n1", "get", "", "", ""),
        ("nodes", "", "create", "", "", ""),
        ("nodes/status", "n1", "patch", "", "", ""),
        ("pods", "mine", "get", "", "ns", ""),
        ("pods", "mine", "watch", "", "ns", "metadata.name=mine"),
        ("pods", "", "watch", "", "", "spec.nodeName=n1"),
        ("pods", "", "create", "", "ns", ""),
        ("pods", "other", "delete", "", "ns", ""),
        ("pods/status", "mine", "patch", "", "ns", ""),
        ("pods/eviction", "mine", "create", "", "ns", ""),
        ("leases", "", "create", LEASES, "kube-node-lease", ""),
        ("leases", "n1", "update", LEASES, "kube-node-lease", ""),
        ("csinodes", "n1", "patch", STORAGE, "", ""),
        ("resourceslices", "", "create", SLICES, "", ""),
        ("resourceslices", "", "deletecollection", SLICES, "", "spec.nodeName=n1"),
        ("services", "", "list", "", "", ""),
        ("runtimeclasses", "", "watch", "node.k8s.io", "", ""),
        ("certificatesigningrequests", "", "create", "certificates.k8s.io", "", ""),
    ],
)
async def test_node_does_its_work(what, name, verb, group, namespace, fields):
    """What every node needs is allowed."""
    allowed = await ask(what, name, verb, group, namespace, fields=fields)
    assert allowed.decision is Decision.ALLOWED


async def test_access_ends_with_the_pod():
    """The question after a pod is gone is answered without it."""
    policy = make_policy()
    assert (await ask("secrets", "mine-volume", policy=policy)).decision is Decision.ALLOWED
    policy.pods.remove(make_pod("mine", "n1"))
    assert (await ask("secrets", "mine-volume", policy=policy)).decision is Decision.NO_OPINION
    assert (await ask("persistentvolumes", "mine-pv", namespace="", policy=policy)).decision is Decision.NO_OPINION


async def test_node_user_outside_the_group_is_no_node():
    """The name alone makes nobody a node, and the group without a name no particular one."""
    assert (await ask("nodes", "n1", who=user("system:node:n1"))).decision is Decision.NO_OPINION
    nameless = await ask("nodes", "n1", who=user("system:node:", "system:nodes"))
    assert (nameless.decision, nameless.reason) == (Decision.NO_OPINION, 'unknown node for user "system:node:"')
    assert (await ask("nodes", "n1", who=user("jane", "system:nodes"))).decision is Decision.NO_OPINION
