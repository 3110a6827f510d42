"""NodeRestriction: a node's identity writes its own Node, its own pods and its own lease, and nothing of other nodes.

What a node may do at all the authorizer says; here stands what the authorizer cannot see, since it is in the object: where a
pod is bound, which labels a Node carries, who owns what (CVE-2025-5187, CVE-2025-4563). Upstream:
`plugin/pkg/admission/noderestriction`.
"""

from typing import Any

from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from pinnace.api.authentication_v1 import TokenRequest
from pinnace.api.certificates_v1 import CertificateSigningRequest
from pinnace.api.core_v1 import Node, PersistentVolumeClaim, PersistentVolumeClaimStatus, Pod
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.apiserver.admission import mountable_secrets
from pinnace.apiserver.admission.interface import CONNECT, CREATE, DELETE, UPDATE, Attributes, Objects, Plugin, Target
from pinnace.apiserver.admission.node_labels import forbidden_labels
from pinnace.apiserver.admission.service_account import MIRROR_ANNOTATION
from pinnace.apiserver.admission.token_audiences import check_audiences
from pinnace.apiserver.authorization.interface import Authorizer
from pinnace.apiserver.registry.certificates.pem import parse_request
from pinnace.machinery import errors

_USER_PREFIX = "system:node:"
_GROUP = "system:nodes"
_LEASE_NAMESPACE = "kube-node-lease"
# Those who sign for nodes.
_KUBELET_SIGNERS = frozenset({"kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"})
_GUARDED = frozenset({
    ("", "pods"),
    ("", "nodes"),
    ("", "persistentvolumeclaims"),
    ("", "serviceaccounts"),
    ("coordination.k8s.io", "leases"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("storage.k8s.io", "csinodes"),
    ("resource.k8s.io", "resourceslices"),
})


class NodeRestriction(Plugin):
    """Keeps nodes to their own objects."""

    name = "NodeRestriction"

    def __init__(self, objects: Objects, authorizer: Authorizer) -> None:
        self._objects = objects
        self._authorizer = authorizer

    def handles(self, target: Target) -> bool:
        return target.operation != CONNECT and (target.group, target.resource) in _GUARDED

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        if _GROUP not in attributes.user.groups or not attributes.user.name.startswith(_USER_PREFIX):
            return obj
        node = attributes.user.name.removeprefix(_USER_PREFIX)
        if not node:
            raise attributes.refuse(f'could not determine node from user "{attributes.user.name}"', obj)
        match attributes.resource:
            case "pods":
                await self._check_pod(attributes, obj, old, node)
            case "nodes":
                _check_node(attributes, obj, old, node)
            case "persistentvolumeclaims":
                _check_claim(attributes, obj, old, node)
            case "serviceaccounts" if attributes.subresource == "token":
                await self._check_token(attributes, obj, node)
            case "certificatesigningrequests" if attributes.operation == CREATE:
                _check_certificate_request(attributes, obj, node)
            case "leases":
                _check_lease(attributes, obj, node)
            case "csinodes" if _name(attributes, obj) != node:
                raise attributes.refuse("can only access CSINode with the same name as the requesting node", obj)
            case "resourceslices":
                _check_slice(attributes, obj, old, node)
        return obj

    # ── pods ──

    async def _check_pod(self, attributes: Attributes, obj: Any, old: Pod | None, node: str) -> None:
        match attributes.subresource, attributes.operation:
            case "", "CREATE":
                await self._check_mirror(attributes, obj, node)
            case "", "DELETE":
                self._check_bound(attributes, old, node, "delete pods")
            case "", operation:
                raise attributes.refuse(
                    f'unexpected operation "{operation}", node "{node}" can only create and delete mirror pods', obj
                )
            case "status", "UPDATE":
                self._check_bound(attributes, old, node, "update pod status for pods")
                _check_status(attributes, obj, old, node)
            case "eviction", "CREATE":
                pod = await self._objects.get(Pod, _name(attributes, obj), attributes.namespace)
                if pod is None:
                    raise errors.not_found("", "pods", _name(attributes, obj))
                if pod.spec.node_name != node:
                    raise attributes.refuse(f"node {node} can only evict pods with spec.nodeName set to itself", obj)
            case part, _:
                raise attributes.refuse(
                    f"unexpected pod subresource \"{part}\", only 'status' and 'eviction' are allowed", obj
                )

    @staticmethod
    def _check_bound(attributes: Attributes, pod: Pod | None, node: str, doing: str) -> None:
        if pod is not None and pod.spec.node_name != node:
            raise attributes.refuse(f'node "{node}" can only {doing} with spec.nodeName set to itself', pod)

    async def _check_mirror(self, attributes: Attributes, pod: Pod, node: str) -> None:
        if MIRROR_ANNOTATION not in pod.metadata.annotations:
            raise attributes.refuse(
                f'pod does not have "{MIRROR_ANNOTATION}" annotation, node "{node}" can only create mirror pods', pod
            )
        if pod.spec.node_name != node:
            raise attributes.refuse(f'node "{node}" can only create pods with spec.nodeName set to itself', pod)
        await self._check_owner(attributes, pod, node)
        what = api_reference(pod)
        if what:
            raise attributes.refuse(f'node "{node}" can not create pods that reference {what}', pod)

    async def _check_owner(self, attributes: Attributes, pod: Pod, node: str) -> None:
        """Let a mirror pod be owned by its node, and by nothing else that the garbage collector would then follow."""
        owners = pod.metadata.owner_references
        if len(owners) > 1:
            text = f'node "{node}" can only create pods with a single owner reference set to itself'
            raise attributes.refuse(text, pod)
        owner = owners[0] if owners else OwnerReference()
        if (owner.api_version, owner.kind, owner.name) != ("v1", "Node", node):
            raise attributes.refuse(f'node "{node}" can only create pods with an owner reference set to itself', pod)
        if not owner.controller:
            text = f'node "{node}" can only create pods with a controller owner reference set to itself'
            raise attributes.refuse(text, pod)
        if owner.block_owner_deletion:
            raise attributes.refuse(f'node "{node}" must not set blockOwnerDeletion on an owner reference', pod)
        own = await self._objects.get(Node, node)
        if own is None:
            raise errors.not_found("", "nodes", node)
        if owner.uid != own.metadata.uid:
            text = f"node {node} UID mismatch: expected {owner.uid} got {own.metadata.uid}"
            raise attributes.refuse(text, pod)

    # ── tokens ──

    async def _check_token(self, attributes: Attributes, request: TokenRequest, node: str) -> None:
        if attributes.operation != CREATE:
            return
        reference = request.spec.bound_object_ref
        if reference is None or (reference.api_version, reference.kind) != ("v1", "Pod") or not reference.name:
            raise attributes.refuse("node requested token not bound to a pod")
        if not reference.uid:
            raise attributes.refuse("node requested token with a pod binding without a uid")
        pod = await self._objects.get(Pod, reference.name, attributes.namespace)
        if pod is None:
            raise errors.not_found("", "pods", reference.name)
        if reference.uid != pod.metadata.uid:
            raise attributes.refuse(
                f"the UID in the bound object reference ({reference.uid}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
        if pod.spec.node_name != node:
            raise attributes.refuse("node requested token bound to a pod scheduled on a different node")
        await check_audiences(attributes, request, pod, self._objects, self._authorizer)


def _name(attributes: Attributes, obj: Any) -> str:
    name: str = attributes.name or obj.metadata.name
    return name


def api_reference(pod: Pod) -> str:
    """Return what a pod refers to that a static or mirror pod may not, since its node could then read it; empty when nothing."""
    spec = pod.spec
    projected = [source for one in spec.volumes if one.projected is not None for source in one.projected.sources or ()]
    if spec.service_account_name:
        return "a service account"
    if mountable_secrets.secret_names(spec):
        return "secrets"
    if mountable_secrets.config_map_names(spec):
        return "configmaps"
    if any(source.cluster_trust_bundle is not None for source in projected):
        return "clustertrustbundles"
    if any(volume.persistent_volume_claim is not None for volume in spec.volumes):
        return "persistentvolumeclaims"
    return "resourceclaims" if spec.resource_claims else ""


def _check_status(attributes: Attributes, new: Pod, old: Pod | None, node: str) -> None:
    assert old is not None
    if new.metadata.labels != old.metadata.labels:
        raise attributes.refuse(f'node "{node}" cannot update labels through pod status', new)
    if new.metadata.owner_references != old.metadata.owner_references:
        raise attributes.refuse(f'node "{node}" cannot update ownerReferences through pod status', new)
    if new.status.resource_claim_statuses != old.status.resource_claim_statuses:
        raise attributes.refuse(f'node "{node}" cannot update resource claim statues', new)


def _check_node(attributes: Attributes, new: Node | None, old: Node | None, node: str) -> None:
    name = _name(attributes, new)
    if name != node:
        raise attributes.refuse(f'node "{node}" is not allowed to modify node "{name}"', name=name)
    if new is None:
        return
    if old is None:
        if new.spec.config_source is not None:
            text = f'node "{node}" is not allowed to create pods with a non-nil configSource'
            raise attributes.refuse(text, new)
        labels = forbidden_labels(new.metadata.labels, {})
        if labels:
            text = f'node "{node}" is not allowed to set the following labels: {", ".join(labels)}'
            raise attributes.refuse(text, new)
        return
    _check_node_update(attributes, new, old, node)


def _check_node_update(attributes: Attributes, new: Node, old: Node, node: str) -> None:
    if new.spec.config_source is not None and new.spec.config_source != old.spec.config_source:
        raise attributes.refuse(f'node "{node}" is not allowed to update configSource to a new non-nil configSource')
    # A node that could lift its taints, or let itself be collected with another object and come back, would choose its pods.
    if new.spec.taints != old.spec.taints:
        raise attributes.refuse(f'node "{node}" is not allowed to modify taints')
    if new.metadata.owner_references != old.metadata.owner_references:
        raise attributes.refuse(f'node "{node}" is not allowed to modify ownerReferences')
    labels = forbidden_labels(new.metadata.labels, old.metadata.labels)
    if labels:
        raise attributes.refuse(f"is not allowed to modify labels: {', '.join(labels)}")


def _check_claim(
    attributes: Attributes, new: PersistentVolumeClaim | None, old: PersistentVolumeClaim | None, node: str
) -> None:
    if attributes.subresource != "status":
        raise attributes.refuse("may only update PVC status", new)
    if attributes.operation != UPDATE or new is None or old is None:
        raise attributes.refuse(f'unexpected operation "{attributes.operation}"', new)
    if _without_sizes(new) != _without_sizes(old):
        raise attributes.refuse(
            f'node "{node}" is not allowed to update fields other than status.quantity and status.conditions', new
        )


def _without_sizes(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """Return a claim without what the node that grows its file system may write."""
    meta: ObjectMeta = replace(claim.metadata, resource_version="", managed_fields=None)
    status: PersistentVolumeClaimStatus = replace(
        claim.status, capacity={}, conditions=(), allocated_resource_statuses={}, allocated_resources={}
    )
    return replace(claim, metadata=meta, status=status)


def _check_lease(attributes: Attributes, obj: Any, node: str) -> None:
    if attributes.namespace != _LEASE_NAMESPACE:
        text = f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace'
        raise attributes.refuse(text, obj)
    if _name(attributes, obj) != node:
        raise attributes.refuse("can only access node lease with the same name as the requesting node", obj)


def _check_certificate_request(attributes: Attributes, request: CertificateSigningRequest, node: str) -> None:
    if request.spec.signer_name not in _KUBELET_SIGNERS:
        return
    try:
        subject = parse_request(request.spec.request).subject
    except ValueError as error:
        raise attributes.refuse(f"unable to parse csr: {error}", request) from error
    names = [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    # The last is the one that counts, and an honest request has no other.
    if set(names) != {_USER_PREFIX + node}:
        raise attributes.refuse(f"can only create a node CSR with CN={_USER_PREFIX}{node}", request)


def _check_slice(attributes: Attributes, obj: Any, old: Any, node: str) -> None:
    one = old if attributes.operation == DELETE else obj
    if one is not None and (one.spec.node_name or "") != node and attributes.operation in {CREATE, DELETE}:
        doing = "create" if attributes.operation == CREATE else "delete"
        raise attributes.refuse(f"can only {doing} ResourceSlice with the same NodeName as the requesting node", obj)
