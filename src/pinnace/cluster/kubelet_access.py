"""What the API server may do at kubelets: it calls them as a user who may use all of their API, and has no other right.

A node says itself where its kubelet listens. One that named the API server's own port would be called there with this certificate, so that
an administrator's would let whoever may use a node's proxy do everything. Upstream: the role `system:kubelet-api-admin`, which is made for this.
"""

from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRoleBinding, RoleRef, Subject
from pinnace.client import Client
from pinnace.cluster.pki import KUBELET_CLIENT
from pinnace.machinery.errors import AlreadyExists

_GROUP = "rbac.authorization.k8s.io"


async def grant_kubelet_access(client: Client) -> None:
    """Let the API server's own user use kubelets; what is there already is left as it is.

    Raises:
        ApiError: the binding cannot be written.
    """
    binding = ClusterRoleBinding(
        metadata=ObjectMeta(name=KUBELET_CLIENT),
        role_ref=RoleRef(api_group=_GROUP, kind="ClusterRole", name="system:kubelet-api-admin"),
        subjects=(Subject(api_group=_GROUP, kind="User", name=KUBELET_CLIENT),),
    )
    try:
        await client.create(binding)
    except AlreadyExists:
        return
