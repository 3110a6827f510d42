import base64
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from pinnace.api.certificates_v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestSpec,
    CertificateSigningRequestStatus,
)
from pinnace.api.core_v1 import (
    Binding,
    Container,
    EnvFromSource,
    EphemeralContainer,
    LocalObjectReference,
    Namespace,
    Node,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    Pod,
    PodResourceClaim,
    PodSpec,
    ResourceRequirements,
    SecretEnvSource,
    SecretVolumeSource,
    Service,
    ServiceAccount,
    ServiceSpec,
    Toleration,
    Volume,
    VolumeResourceRequirements,
)
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.api.networking_v1 import Ingress, IngressClass
from pinnace.api.node_v1 import Overhead, RuntimeClass, Scheduling
from pinnace.api.storage_v1 import StorageClass
from pinnace.apiserver.admission import CREATE, DELETE, UPDATE, Attributes, default_plugins
from pinnace.apiserver.admission.certificate_approval import CertificateApproval, CertificateSigning
from pinnace.apiserver.admission.certificate_subject_restriction import CertificateSubjectRestriction
from pinnace.apiserver.admission.default_ingress_class import DefaultIngressClass
from pinnace.apiserver.admission.default_storage_class import DefaultStorageClass
from pinnace.apiserver.admission.deny_service_external_ips import DenyServiceExternalIPs
from pinnace.apiserver.admission.extended_resource_toleration import ExtendedResourceToleration
from pinnace.apiserver.admission.functions import mutating, validating
from pinnace.apiserver.admission.interface import AdmissionChain, Target
from pinnace.apiserver.admission.node_restriction import NodeRestriction
from pinnace.apiserver.admission.owner_references import OwnerReferencesPermissionEnforcement
from pinnace.apiserver.admission.persistent_volume_claim_resize import PersistentVolumeClaimResize
from pinnace.apiserver.admission.pod_topology_labels import PodTopologyLabels
from pinnace.apiserver.admission.runtime_class import RuntimeClassAdmission
from pinnace.apiserver.admission.service_account import ServiceAccountAdmission
from pinnace.apiserver.admission.storage_object_in_use_protection import StorageObjectInUseProtection
from pinnace.apiserver.authorization.interface import ALLOWED, NO_OPINION
from pinnace.component.http import UserInfo
from pinnace.component.identity import Identity
from pinnace.machinery.errors import ApiError, InternalError

NODE = UserInfo("system:node:n1", groups=("system:nodes",))


class Objects:
    def __init__(self, *objects):
        self.objects = objects

    async def get(self, cls, name, namespace=""):
        return next((one for one in await self.list(cls, namespace) if one.metadata.name == name), None)

    async def list(self, cls, namespace=""):
        return tuple(
            one for one in self.objects if type(one) is cls and (not namespace or one.metadata.namespace == namespace)
        )


class Rights:
    """Allows what is listed as (verb, resource, name)."""

    def __init__(self, *allowed):
        self.allowed = allowed

    async def authorize(self, attributes):
        asked = (attributes.verb, attributes.resource_path, attributes.name)
        return ALLOWED if asked in self.allowed else NO_OPINION


def meta(name="x", **fields):
    return ObjectMeta(name=name, namespace="ns", **fields)


def attributes(resource="pods", operation=CREATE, group="", user=UserInfo("jane"), **fields):  # noqa: B008 - frozen
    fields = {"namespace": "ns"} | fields
    return Attributes(user=user, operation=operation, group=group, resource=resource, **fields)


async def admit(plugin, attrs, obj, old=None):
    """Return what comes out, or the text of the refusal."""
    target = Target(attrs.operation, attrs.group, attrs.resource, attrs.subresource)
    assert plugin.handles(target)
    try:
        obj = await plugin.mutate(attrs, obj, old)
        await plugin.validate(attrs, obj, old)
    except ApiError as error:
        return error.message.partition(" is forbidden: ")[2] or error.message
    return obj


def make_pod(*containers, **spec):
    return Pod(metadata=meta("p"), spec=PodSpec(containers=containers or (Container(name="c"),), **spec))


# ── the list ──


def names(**options):
    return [plugin.name for plugin in default_plugins(Objects(), Identity(random.Random(1)), None, None, **options)]


def test_plugins_stand_in_upstreams_order():
    """Quotas last, and those that upstream leaves off are off."""
    assert names() == [
        "NamespaceLifecycle",
        "LimitRanger",
        "ServiceAccount",
        "NodeRestriction",
        "TaintNodesByCondition",
        "PodSecurity",
        "Priority",
        "DefaultTolerationSeconds",
        "DefaultStorageClass",
        "StorageObjectInUseProtection",
        "PersistentVolumeClaimResize",
        "RuntimeClass",
        "CertificateApproval",
        "CertificateSigning",
        "CertificateSubjectRestriction",
        "DefaultIngressClass",
        "PodTopologyLabels",
        "ResourceQuota",
    ]


def test_plugins_are_turned_on_and_off_by_name():
    """An unknown name is an error, so that a misspelt one does not leave a door open."""
    assert "DenyServiceExternalIPs" in names(enable=["DenyServiceExternalIPs"])
    assert "PodSecurity" not in names(disable=["PodSecurity"])
    with pytest.raises(ValueError, match="unknown admission plug-ins: PodSekurity"):
        names(disable=["PodSekurity"])


# ── storage ──

CLASS_DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


def storage_class(name, created="", **fields):
    return StorageClass(metadata=ObjectMeta(name=name, creation_timestamp=created, annotations=CLASS_DEFAULT), **fields)


async def test_claim_gets_the_newest_default_class():
    """Unless it names one, or says that it wants none."""
    plugin = DefaultStorageClass(
        Objects(storage_class("old", "2026-01-01T00:00:00Z"), storage_class("new", "2026-02-01T00:00:00Z"))
    )
    attrs = attributes("persistentvolumeclaims")
    assert (await admit(plugin, attrs, PersistentVolumeClaim())).spec.storage_class_name == "new"
    for own in ("", "mine"):
        claim = PersistentVolumeClaim(spec=PersistentVolumeClaimSpec(storage_class_name=own))
        assert await admit(plugin, attrs, claim) is claim
    assert (await admit(DefaultStorageClass(Objects()), attrs, PersistentVolumeClaim())).spec.storage_class_name is None


@pytest.mark.parametrize(
    ("resource", "group", "obj", "finalizer"),
    [
        ("persistentvolumeclaims", "", PersistentVolumeClaim(), "kubernetes.io/pvc-protection"),
        ("persistentvolumes", "", PersistentVolume(), "kubernetes.io/pv-protection"),
    ],
)
async def test_storage_objects_are_protected_once(resource, group, obj, finalizer):
    """The finalizer is added to those that lack it."""
    attrs = attributes(resource, group=group)
    protected = await admit(StorageObjectInUseProtection(), attrs, obj)
    assert protected.metadata.finalizers == (finalizer,)
    assert await admit(StorageObjectInUseProtection(), attrs, protected) is protected


def claim_of(size, phase="Bound"):
    resources = VolumeResourceRequirements(requests={"storage": size})
    return PersistentVolumeClaim(
        spec=PersistentVolumeClaimSpec(storage_class_name="c", resources=resources),
        status=PersistentVolumeClaimStatus(phase=phase),
    )


@pytest.mark.parametrize(
    ("grows", "phase", "new", "refusal"),
    [
        (True, "Bound", "2Gi", ""),
        (True, "Pending", "2Gi", "Only bound persistent volume claims can be expanded"),
        (
            False,
            "Bound",
            "2Gi",
            (
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support "
                "resize"
            ),
        ),
        (False, "Pending", "1024Mi", ""),
    ],
)
async def test_claim_grows_where_its_class_lets_it(grows, phase, new, refusal):
    """Only when it is bound; the same size in other words is no growth."""
    plugin = PersistentVolumeClaimResize(Objects(storage_class("c", allow_volume_expansion=grows)))
    result = await admit(
        plugin, attributes("persistentvolumeclaims", UPDATE), claim_of(new, phase), claim_of("1Gi", phase)
    )
    assert (result if isinstance(result, str) else "") == refusal


# ── runtime classes, services, ingresses ──


@pytest.mark.parametrize(
    ("pod", "refusal"),
    [
        pytest.param(make_pod(runtime_class_name="none"), 'pod rejected: RuntimeClass "none" not found', id="unknown"),
        pytest.param(
            make_pod(overhead={"cpu": "1"}),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            id="unfounded",
        ),
        pytest.param(
            make_pod(runtime_class_name="vm", overhead={"cpu": "1"}),
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            id="mismatch",
        ),
        pytest.param(
            make_pod(runtime_class_name="vm", node_selector={"kvm": "no"}),
            "conflict: runtimeClass.scheduling.nodeSelector[kvm] = yes; pod.spec.nodeSelector[kvm] = no",
            id="conflict",
        ),
    ],
)
async def test_runtime_class_refuses(pod, refusal):
    """What does not fit the class."""
    assert await admit(RuntimeClassAdmission(Objects(VM)), attributes(), pod) == refusal


VM = RuntimeClass(
    metadata=ObjectMeta(name="vm"),
    handler="vm",
    overhead=Overhead(pod_fixed={"cpu": "250m"}),
    scheduling=Scheduling(node_selector={"kvm": "yes"}, tolerations=(Toleration(key="kvm", operator="Exists"),)),
)


async def test_runtime_class_gives_overhead_and_place():
    """A pod that says the same in other words passes."""
    plugin = RuntimeClassAdmission(Objects(VM))
    spec = (await admit(plugin, attributes(), make_pod(runtime_class_name="vm", node_selector={"a": "b"}))).spec
    assert spec.overhead == {"cpu": "250m"}
    assert spec.node_selector == {"a": "b", "kvm": "yes"}
    assert [one.key for one in spec.tolerations] == ["kvm"]
    again = await admit(plugin, attributes(), make_pod(runtime_class_name="vm", overhead={"cpu": "0.25"}))
    assert again.spec.overhead == {"cpu": "0.25"}
    plain = make_pod()
    assert await admit(plugin, attributes(), plain) is plain


async def test_external_ips_can_be_kept_and_given_up_but_not_added():
    """With the plug-in on; CVE-2020-8554."""
    plugin = DenyServiceExternalIPs()
    with_ip = Service(spec=ServiceSpec(external_ips=("10.0.0.1",)))
    denied = "Use of external IPs is denied by admission control"
    assert await admit(plugin, attributes("services"), with_ip) == denied
    assert await admit(plugin, attributes("services", UPDATE), with_ip, Service()) == denied
    assert await admit(plugin, attributes("services", UPDATE), with_ip, with_ip) is with_ip
    assert await admit(plugin, attributes("services", UPDATE), Service(), with_ip)


async def test_ingress_gets_the_default_class():
    """Unless it names one, by field or by the old annotation."""
    default = {"ingressclass.kubernetes.io/is-default-class": "true"}
    plugin = DefaultIngressClass(
        Objects(
            IngressClass(metadata=ObjectMeta(name="a")),
            IngressClass(metadata=ObjectMeta(name="b", annotations=default)),
        )
    )
    attrs = attributes("ingresses", group="networking.k8s.io")
    assert (await admit(plugin, attrs, Ingress())).spec.ingress_class_name == "b"
    old = Ingress(metadata=meta(annotations={"kubernetes.io/ingress.class": "nginx"}))
    assert await admit(plugin, attrs, old) is old


async def test_device_is_tolerated():
    """A pod that asks for a device may run where only such pods may."""
    container = Container(name="c", resources=ResourceRequirements(requests={"nvidia.com/gpu": "1", "cpu": "1"}))
    admitted = await admit(ExtendedResourceToleration(), attributes(), make_pod(container))
    assert [(one.key, one.effect) for one in admitted.spec.tolerations] == [("nvidia.com/gpu", "NoSchedule")]
    assert await admit(ExtendedResourceToleration(), attributes(), admitted) is admitted


async def test_binding_carries_the_nodes_zone():
    """From where the pod gets it."""
    labels = {"topology.kubernetes.io/zone": "z1", "other": "x"}
    plugin = PodTopologyLabels(Objects(Node(metadata=ObjectMeta(name="n1", labels=labels))))
    binding = Binding(metadata=meta(), target=ObjectReference(name="n1"))
    admitted = await admit(plugin, attributes(subresource="binding"), binding)
    assert admitted.metadata.labels == {"topology.kubernetes.io/zone": "z1"}


# ── certificates ──

SIGNER = "example.com/a"


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [((), False), (("approve", "signers", SIGNER), True), (("approve", "signers", "example.com/*"), True)],
)
async def test_approval_needs_the_right_for_the_signer(allowed, passes):
    """By its name or its domain; the stored signer counts, not one that is sent."""
    stored = CertificateSigningRequest(spec=CertificateSigningRequestSpec(signer_name=SIGNER))
    sent = CertificateSigningRequest(spec=CertificateSigningRequestSpec(signer_name="mine.org/x"))
    plugin = CertificateApproval(Rights(*[allowed] if allowed else []))
    attrs = attributes("certificatesigningrequests", UPDATE, "certificates.k8s.io", subresource="approval")
    refused = f'user not permitted to approve requests with signerName "{SIGNER}"'
    assert await admit(plugin, attrs, sent, stored) == (sent if passes else refused)


async def test_signing_needs_the_right_for_the_signer():
    """Where a certificate or a condition is written, not for a status that stays."""
    stored = CertificateSigningRequest(spec=CertificateSigningRequestSpec(signer_name=SIGNER))
    signed = replace(stored, status=CertificateSigningRequestStatus(certificate="Y2VydA=="))
    attrs = attributes("certificatesigningrequests", UPDATE, "certificates.k8s.io", subresource="status")
    refused = f'user not permitted to sign requests with signerName "{SIGNER}"'
    assert await admit(CertificateSigning(Rights()), attrs, signed, stored) == refused
    assert await admit(CertificateSigning(Rights()), attrs, stored, stored) is stored
    assert await admit(CertificateSigning(Rights(("sign", "signers", SIGNER))), attrs, signed, stored) is signed


def make_request(signer, *organizations):
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations])
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    return CertificateSigningRequest(
        metadata=meta("r"), spec=CertificateSigningRequestSpec(request=pem, signer_name=signer)
    )


async def test_nobody_requests_a_certificate_of_masters():
    """For the signer whose certificates the server believes."""
    attrs = attributes("certificatesigningrequests", group="certificates.k8s.io", namespace="")
    client = "kubernetes.io/kube-apiserver-client"
    refused = f"use of {client} signer with system:masters group is not allowed"
    plugin = CertificateSubjectRestriction()
    assert await admit(plugin, attrs, make_request(client, "dev", "system:masters")) == refused
    assert not isinstance(await admit(plugin, attrs, make_request(client, "dev")), str)
    assert not isinstance(await admit(plugin, attrs, make_request(SIGNER, "system:masters")), str)


# ── owners ──


async def test_owner_reference_needs_the_right_to_delete_and_to_hold_up():
    """Delete the object itself; update the owner's finalizers where its deletion is to wait."""
    owner = OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="r", uid="u", block_owner_deletion=True)
    owned = Pod(metadata=meta("p", owner_references=(owner,)))
    attrs = attributes(version="v1")
    delete, hold = ("delete", "pods", "p"), ("update", "replicasets/finalizers", "r")
    can_not_delete = "cannot set an ownerRef on a resource you can't delete: , <nil>"
    can_not_hold = (
        "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>"
    )
    assert await admit(OwnerReferencesPermissionEnforcement(Rights()), attrs, owned) == can_not_delete
    assert await admit(OwnerReferencesPermissionEnforcement(Rights(delete)), attrs, owned) == can_not_hold
    assert await admit(OwnerReferencesPermissionEnforcement(Rights(delete, hold)), attrs, owned) is owned
    update = attributes(operation=UPDATE)
    assert await admit(OwnerReferencesPermissionEnforcement(Rights()), update, owned, owned) is owned


# ── nodes ──

ME = OwnerReference(api_version="v1", kind="Node", name="n1", uid="n1-uid", controller=True)
MIRROR = {"kubernetes.io/config.mirror": "hash"}
MY_NODE = Node(metadata=ObjectMeta(name="n1", uid="n1-uid"))


def mirror(owners=(ME,), **spec):
    return Pod(
        metadata=meta("m", annotations=MIRROR, owner_references=owners),
        spec=PodSpec(**({"node_name": "n1", "containers": (Container(name="c"),)} | spec)),
    )


SECRET_ENV = Container(name="c", env_from=(EnvFromSource(secret_ref=SecretEnvSource(name="s")),))


@pytest.mark.parametrize(
    ("pod", "refusal"),
    [
        pytest.param(mirror(), "", id="own"),
        pytest.param(mirror(owners=()), "can only create pods with an owner reference set to itself", id="no-owner"),
        pytest.param(
            mirror(owners=(ME, ME)), "can only create pods with a single owner reference set to itself", id="two"
        ),
        pytest.param(
            mirror(owners=(replace(ME, controller=None),)),
            "can only create pods with a controller owner reference set to itself",
            id="no-controller",
        ),
        pytest.param(
            mirror(owners=(replace(ME, block_owner_deletion=True),)),
            "must not set blockOwnerDeletion on an owner reference",
            id="blocking",
        ),
        pytest.param(mirror(owners=(replace(ME, uid="x"),)), "UID mismatch: expected x got n1-uid", id="uid"),
        pytest.param(mirror(containers=(SECRET_ENV,)), "can not create pods that reference secrets", id="secret-env"),
        pytest.param(
            mirror(image_pull_secrets=(LocalObjectReference(name="s"),)),
            "can not create pods that reference secrets",
            id="pull-secret",
        ),
        # CVE-2025-4563
        pytest.param(
            mirror(resource_claims=(PodResourceClaim(name="d", resource_claim_name="c"),)),
            "can not create pods that reference resourceclaims",
            id="claims",
        ),
    ],
)
async def test_node_creates_mirror_pods_that_read_nothing(pod, refusal):
    """A node speaks for the pods it runs already, and gains nothing by it."""
    result = await admit(NodeRestriction(Objects(MY_NODE), Rights()), attributes(user=NODE), pod)
    assert refusal in result if refusal else result is pod


@pytest.mark.parametrize(
    ("new", "refusal"),
    [
        # CVE-2025-5187: a node that is owned by what does not exist would be collected, and come back without its taints.
        ({"metadata": {"owner_references": (ME,)}}, 'node "n1" is not allowed to modify ownerReferences'),
        ({"metadata": {"labels": {"topology.kubernetes.io/zone": "z", "mine.org/a": "b"}}}, ""),
        ({"metadata": {"labels": {"node.kubernetes.io/x": "y", "kubelet.kubernetes.io/x": "y"}}}, ""),
        (
            {"metadata": {"labels": {"foo.kubernetes.io/a": "b", "a.node-restriction.kubernetes.io/b": "c"}}},
            "is not allowed to modify labels: a.node-restriction.kubernetes.io/b, foo.kubernetes.io/a",
        ),
    ],
)
async def test_node_changes_of_itself_what_it_may(new, refusal):
    """Labels of its kind; neither owners nor labels that would draw pods."""
    changed = replace(MY_NODE, metadata=replace(MY_NODE.metadata, **new["metadata"]))
    attrs = attributes("nodes", UPDATE, user=NODE, name="n1", namespace="")
    result = await admit(NodeRestriction(Objects(), Rights()), attrs, changed, MY_NODE)
    assert (result if isinstance(result, str) else "") == refusal


async def test_node_deletes_only_pods_bound_to_it():
    """What is bound elsewhere, or nowhere, is not its own."""
    attrs = attributes(operation=DELETE, user=NODE, name="p")
    other = make_pod(node_name="n2")
    refused = 'node "n1" can only delete pods with spec.nodeName set to itself'
    assert await admit(NodeRestriction(Objects(), Rights()), attrs, None, other) == refused
    assert await admit(NodeRestriction(Objects(), Rights()), attrs, None, make_pod(node_name="n1")) is None


# ── mountable secrets ──


@pytest.mark.parametrize(
    ("spec", "subresource", "refusal"),
    [
        pytest.param({"containers": (SECRET_ENV,)}, "", "container c with envFrom referencing", id="CVE-2024-3177"),
        pytest.param(
            {"ephemeral_containers": (EphemeralContainer(name="e", env_from=SECRET_ENV.env_from),)},
            "ephemeralcontainers",
            "ephemeral container e with envFrom referencing",
            id="CVE-2023-2728",
        ),
        pytest.param({"init_containers": (SECRET_ENV,)}, "", "init container c with envFrom referencing", id="init"),
        pytest.param(
            {"volumes": (Volume(name="v", secret=SecretVolumeSource(secret_name="s")),)}, "", "volume with", id="volume"
        ),
        pytest.param(
            {"image_pull_secrets": (LocalObjectReference(name="s"),)}, "", 'imagePullSecrets[0].name="s"', id="pull"
        ),
    ],
)
async def test_account_that_lists_its_secrets_is_held_to_them(spec, subresource, refusal):
    """In every place where a pod can name one."""
    account = ServiceAccount(metadata=meta("a", annotations={"kubernetes.io/enforce-mountable-secrets": "true"}))
    plugin = ServiceAccountAdmission(Objects(account), Identity(random.Random(1)))
    pod = Pod(metadata=meta("p"), spec=PodSpec(service_account_name="a", **spec))
    attrs = attributes(operation=UPDATE if subresource else CREATE, subresource=subresource)
    assert (await admit(plugin, attrs, pod, pod if subresource else None)).startswith(refusal)


# ── functions ──


async def test_functions_mutate_and_refuse_with_types():
    """A cluster's own policies: plain functions or coroutines, of one kind and on the operations they name."""

    def team(request):
        labels = {**request.object.metadata.labels, "team": request.user.name}
        return replace(request.object, metadata=replace(request.object.metadata, labels=labels))

    async def keep(request):
        if request.object.metadata.labels.get("keep"):
            request.deny("it is to be kept")

    chain = AdmissionChain([mutating(Namespace, team), validating(Namespace, keep, operations={DELETE})])
    attrs = attributes("namespaces", namespace="")
    made = await chain.mutate(attrs, Namespace(metadata=ObjectMeta(name="n")), None)
    assert made.metadata.labels == {"team": "jane"}
    kept = Namespace(metadata=ObjectMeta(name="n", labels={"keep": "yes"}))
    await chain.validate(attrs, kept, None)
    with pytest.raises(ApiError, match='namespaces "n" is forbidden: it is to be kept'):
        await chain.validate(attributes("namespaces", DELETE, namespace="", name="n"), None, kept)


async def test_function_that_fails_fails_the_write():
    """As a webhook does whose failurePolicy is Fail; so does one that forgets to return the object."""
    broken = AdmissionChain([mutating(Namespace, lambda request: request.object.nonsense)])
    silent = AdmissionChain([mutating(Namespace, lambda request: None)])
    for chain, text in ((broken, "AttributeError"), (silent, "returned NoneType for Namespace")):
        with pytest.raises(InternalError, match=text):
            await chain.mutate(attributes("namespaces", namespace=""), Namespace(), None)
