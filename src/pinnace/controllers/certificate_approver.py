"""Approvers of nodes' certificate requests, each under the account `certificate-controller`.

    kube-apiserver-client-kubelet  a joining node, or a node about itself, whose right to it a SubjectAccessReview confirms
    kubelet-serving                a node about itself, for no names but those that its Node object has

Upstream leaves requests for serving certificates to the administrator; here the cluster decides, since it gave the addresses. Upstream:
pkg/controller/certificates/approver `sarapprove.go`.
"""

from msgspec.structs import replace

from pinnace.api import authorization_v1, core_v1
from pinnace.api.certificates_v1 import CertificateSigningRequest
from pinnace.client import Client, InformerFactory
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.tls import CertificateError
from pinnace.controllers.certificate_requests import (
    KUBELET_CLIENT,
    KUBELET_SERVING,
    NODE_USER,
    NODES,
    complaint,
    condition,
    facts_of,
    is_decided,
)
from pinnace.controllers.controller import Controller

REASON = "AutoApproved"
SELF_MESSAGE = "Auto approving self kubelet client certificate after SubjectAccessReview."
JOIN_MESSAGE = "Auto approving kubelet client certificate after SubjectAccessReview."
SERVING_MESSAGE = "Auto approving kubelet serving certificate for the names of its own node."


class CertificateApprover(Controller):
    """Reconciles requests that nobody has decided about."""

    name = "certificate-controller"
    component = "certificate-controller"
    backoff = Backoff(0.2, 1000.0)

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._requests = informers.informer(CertificateSigningRequest)
        self._nodes = informers.informer(core_v1.Node)
        self._requests.add_handler(self.enqueue, lambda _, new: self.enqueue(new))
        self._nodes.add_handler(self._node_seen, lambda _, new: self._node_seen(new))

    def _node_seen(self, node: core_v1.Node) -> None:
        """Look again at what a node asked before its addresses were known."""
        for request in self._requests.cache.list():
            waits = request.spec.signer_name == KUBELET_SERVING and not is_decided(request)
            if waits and request.spec.username == NODE_USER + node.metadata.name:
                self.enqueue(request)

    async def reconcile(self, key: str) -> float | None:
        request = self._requests.cache.get(key)
        if request is None or request.status.certificate or is_decided(request):
            return None
        message = await self._grounds(request)
        if message:
            conditions = (*request.status.conditions, condition("Approved", REASON, message))
            await self.client.update(
                replace(request, status=replace(request.status, conditions=conditions)), subresource="approval"
            )
        return None

    async def _grounds(self, request: CertificateSigningRequest) -> str:
        """Return why a request may be approved, an empty text when it may not."""
        signer = request.spec.signer_name
        if signer not in {KUBELET_CLIENT, KUBELET_SERVING}:
            return ""
        try:
            facts = facts_of(request)
        except CertificateError:
            return ""
        if complaint(signer, facts, request.spec.usages):
            return ""
        is_own = facts.common_name == request.spec.username
        if signer == KUBELET_SERVING:
            asked = {*facts.dns_names, *facts.ip_addresses}
            is_node = is_own and NODES in request.spec.groups
            return SERVING_MESSAGE if is_node and asked <= self._names(facts.common_name) else ""
        if is_own and await self._may(request, "selfnodeclient"):
            return SELF_MESSAGE
        return JOIN_MESSAGE if await self._may(request, "nodeclient") else ""

    def _names(self, user: str) -> set[str]:
        node = self._nodes.cache.get(user.removeprefix(NODE_USER))
        return {address.address for address in node.status.addresses} if node is not None else set()

    async def _may(self, request: CertificateSigningRequest, subresource: str) -> bool:
        attributes = authorization_v1.ResourceAttributes(
            group="certificates.k8s.io",
            version="*",
            resource="certificatesigningrequests",
            subresource=subresource,
            verb="create",
        )
        spec = authorization_v1.SubjectAccessReviewSpec(
            user=request.spec.username,
            uid=request.spec.uid,
            groups=request.spec.groups,
            extra=request.spec.extra,
            resource_attributes=attributes,
        )
        return (await self.client.create(authorization_v1.SubjectAccessReview(spec=spec))).status.allowed
