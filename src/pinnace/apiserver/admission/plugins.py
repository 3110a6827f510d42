"""The plug-ins of an API server, in upstream's order.

Those whose purpose needs a feature that is off upstream are not here; `OFF` names those that an operator turns on. Upstream:
`pkg/kubeapiserver/options/plugins.go`.
"""

from collections.abc import Iterable, Sequence

from pinnace.apiserver.admission.certificate_approval import CertificateApproval, CertificateSigning
from pinnace.apiserver.admission.certificate_subject_restriction import CertificateSubjectRestriction
from pinnace.apiserver.admission.default_ingress_class import DefaultIngressClass
from pinnace.apiserver.admission.default_storage_class import DefaultStorageClass
from pinnace.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from pinnace.apiserver.admission.deny_service_external_ips import DenyServiceExternalIPs
from pinnace.apiserver.admission.extended_resource_toleration import ExtendedResourceToleration
from pinnace.apiserver.admission.interface import Plugin
from pinnace.apiserver.admission.limit_ranger import LimitRanger
from pinnace.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from pinnace.apiserver.admission.node_restriction import NodeRestriction
from pinnace.apiserver.admission.node_taint import TaintNodesByCondition
from pinnace.apiserver.admission.owner_references import OwnerReferencesPermissionEnforcement
from pinnace.apiserver.admission.persistent_volume_claim_resize import PersistentVolumeClaimResize
from pinnace.apiserver.admission.pod_security import PodSecurity
from pinnace.apiserver.admission.pod_topology_labels import PodTopologyLabels
from pinnace.apiserver.admission.priority import Priority
from pinnace.apiserver.admission.resource_quota import QuotaAdmission, Quotas
from pinnace.apiserver.admission.runtime_class import RuntimeClassAdmission
from pinnace.apiserver.admission.service_account import ServiceAccountAdmission
from pinnace.apiserver.admission.storage_object_in_use_protection import StorageObjectInUseProtection
from pinnace.apiserver.authorization.interface import Authorizer
from pinnace.component.clock import Clock
from pinnace.component.identity import Identity

# Plug-ins that are not in force unless they are asked for by name.
OFF = frozenset({
    ExtendedResourceToleration.name,
    OwnerReferencesPermissionEnforcement.name,
    DenyServiceExternalIPs.name,
})


def default_plugins(
    objects: Quotas,
    identity: Identity,
    clock: Clock,
    authorizer: Authorizer,
    *,
    further: Iterable[Plugin] = (),
    enable: Iterable[str] = (),
    disable: Iterable[str] = (),
) -> Sequence[Plugin]:
    """Return the plug-ins that are in force.

    Args:
        objects: the server's own, in which charges of quotas are written.
        identity: where the suffix of token volumes comes from.
        clock: the cluster's.
        authorizer: asked by plug-ins that look for a right beside that of the request.
        further: run where upstream has its webhooks: behind all but the quotas.
        enable: names of `OFF` that are wanted.
        disable: names that are not.

    Raises:
        ValueError: there is no plug-in of such a name.
    """
    before: tuple[Plugin, ...] = (
        NamespaceLifecycle(objects),
        LimitRanger(objects),
        ServiceAccountAdmission(objects, identity),
        NodeRestriction(objects, authorizer),
        TaintNodesByCondition(),
        PodSecurity(objects),
        Priority(objects),
        DefaultTolerationSeconds(),
        ExtendedResourceToleration(),
        DefaultStorageClass(objects),
        StorageObjectInUseProtection(),
        OwnerReferencesPermissionEnforcement(authorizer),
        PersistentVolumeClaimResize(objects),
        RuntimeClassAdmission(objects),
        CertificateApproval(authorizer),
        CertificateSigning(authorizer),
        CertificateSubjectRestriction(),
        DefaultIngressClass(objects),
        DenyServiceExternalIPs(),
        PodTopologyLabels(objects),
    )
    behind: tuple[Plugin, ...] = (QuotaAdmission(objects, clock),)
    known = {plugin.name for plugin in (*before, *behind)}
    unknown = sorted({*enable, *disable} - known)
    if unknown:
        raise ValueError(f"unknown admission plug-ins: {', '.join(unknown)}")
    off = (OFF - set(enable)) | set(disable)
    return (
        *(plugin for plugin in before if plugin.name not in off),
        *further,
        *(plugin for plugin in behind if plugin.name not in off),
    )
