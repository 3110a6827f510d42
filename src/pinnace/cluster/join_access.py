"""What a cluster grants to machines that want to become its nodes, and tells those that do not know it yet.

    bootstrap token ──▶ group default-node-token: may ask for a node's client certificate, which is then approved
    client certificate ──▶ group system:nodes: may renew it; may read what its service proxy and DNS answer from
    nobody ──▶ may read ConfigMap kube-public/cluster-info, signed by every token

Names are kubeadm's, which tools look for. Upstream: kubeadm `phases/bootstraptoken/{node,clusterinfo}`.
"""

from collections.abc import Iterator
from typing import Any

import yaml
from msgspec.structs import replace

from pinnace.api.core_v1 import ConfigMap
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from pinnace.client import Client
from pinnace.cluster.cluster_dns import ROLE as DNS_ROLE
from pinnace.component.kubeconfig import Access, cluster_tree
from pinnace.controllers.bootstrap_tokens import INFO, INFO_NAMESPACE, KUBECONFIG
from pinnace.controllers.certificate_requests import NODES
from pinnace.machinery.errors import AlreadyExists

DEFAULT_NODE_TOKEN = "system:bootstrappers:kubeadm:default-node-token"
_API = "rbac.authorization.k8s.io"
_CSR = "system:certificates.k8s.io:certificatesigningrequests"
_READER = "kubeadm:bootstrap-signer-clusterinfo"


async def grant_joining(client: Client, server: str, ca_pem: bytes) -> None:
    """Make the roles and the ConfigMap; a ConfigMap that says otherwise is corrected, all else that is there is left.

    Raises:
        ApiError: one cannot be written.
    """
    for obj in _objects():
        try:
            await client.create(obj)
        except AlreadyExists:
            continue
    content = yaml.safe_dump(cluster_tree("", Access(server, ca_pem)), sort_keys=False)
    metadata = ObjectMeta(name=INFO, namespace=INFO_NAMESPACE)
    try:
        await client.create(ConfigMap(metadata=metadata, data={KUBECONFIG: content}))
    except AlreadyExists:
        found = await client.get(ConfigMap, INFO, INFO_NAMESPACE)
        if found.data.get(KUBECONFIG) != content:
            await client.update(replace(found, data={KUBECONFIG: content}))


def _objects() -> Iterator[Any]:
    joining, nodes = _group(DEFAULT_NODE_TOKEN), _group(NODES)
    yield _binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", joining)
    yield _binding("kubeadm:node-autoapprove-bootstrap", f"{_CSR}:nodeclient", joining)
    yield _binding("kubeadm:node-autoapprove-certificate-rotation", f"{_CSR}:selfnodeclient", nodes)
    get_nodes = PolicyRule(api_groups=("",), resources=("nodes",), verbs=("get",))
    yield ClusterRole(metadata=ObjectMeta(name="kubeadm:get-nodes"), rules=(get_nodes,))
    yield _binding("kubeadm:get-nodes", "kubeadm:get-nodes", joining)
    approver = Subject(kind="ServiceAccount", name="certificate-controller", namespace="kube-system")
    serving = "system:certificates.k8s.io:kubelet-serving-approver"
    yield _binding("pinnace:kubelet-serving-approver", serving, approver)
    # A node's proxy and DNS are processes of the agent, not pods with accounts of their own.
    yield _binding("pinnace:node-proxiers", "system:node-proxier", nodes)
    yield _binding("pinnace:node-dns", DNS_ROLE, nodes)
    metadata = ObjectMeta(name=_READER, namespace=INFO_NAMESPACE)
    rule = PolicyRule(api_groups=("",), resources=("configmaps",), resource_names=(INFO,), verbs=("get",))
    yield Role(metadata=metadata, rules=(rule,))
    yield RoleBinding(
        metadata=metadata,
        role_ref=RoleRef(api_group=_API, kind="Role", name=_READER),
        subjects=(Subject(api_group=_API, kind="User", name="system:anonymous"),),
    )


def _group(name: str) -> Subject:
    return Subject(api_group=_API, kind="Group", name=name)


def _binding(name: str, role: str, *subjects: Subject) -> ClusterRoleBinding:
    return ClusterRoleBinding(
        metadata=ObjectMeta(name=name),
        role_ref=RoleRef(api_group=_API, kind="ClusterRole", name=role),
        subjects=subjects,
    )
