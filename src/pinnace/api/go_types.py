"""The names that Go gives to texts with a meaning of their own; messages about values of a wrong type show them.

By struct and wire name of the field. The schemas only say that such a field is a text, so the names stand here, taken from
upstream's `k8s.io/api/*/v1/types.go`. A field that is missing here is shown as a plain `string`.
"""

from collections.abc import Mapping
from types import MappingProxyType

_BY_NAME: Mapping[str, tuple[str, ...]] = {
    "v1.AzureDataDiskCachingMode": ("AzureDiskVolumeSource.cachingMode",),
    "v1.AzureDataDiskKind": ("AzureDiskVolumeSource.kind",),
    "v1.CompletionMode": ("JobSpec.completionMode",),
    "v1.ConcurrencyPolicy": ("CronJobSpec.concurrencyPolicy",),
    "v1.ConditionStatus": (
        "ComponentCondition.status",
        "DaemonSetCondition.status",
        "DeploymentCondition.status",
        "JobCondition.status",
        "NamespaceCondition.status",
        "NodeCondition.status",
        "PersistentVolumeClaimCondition.status",
        "PodCondition.status",
        "ReplicaSetCondition.status",
        "ReplicationControllerCondition.status",
        "StatefulSetCondition.status",
    ),
    "v1.DNSPolicy": ("PodSpec.dnsPolicy",),
    "v1.DaemonSetUpdateStrategyType": ("DaemonSetUpdateStrategy.type",),
    "v1.DeploymentStrategyType": ("DeploymentStrategy.type",),
    "v1.FinalizerName": ("NamespaceSpec.finalizers",),
    "v1.HostPathType": ("HostPathVolumeSource.type",),
    "v1.IPFamily": ("ServiceSpec.ipFamilies",),
    "v1.IPFamilyPolicy": ("ServiceSpec.ipFamilyPolicy",),
    "v1.JobConditionType": ("JobCondition.type",),
    "v1.LabelSelectorOperator": ("LabelSelectorRequirement.operator",),
    "v1.LimitType": ("LimitRangeItem.type",),
    "v1.MountPropagationMode": ("VolumeMount.mountPropagation",),
    "v1.NamespacePhase": ("NamespaceStatus.phase",),
    "v1.NodeAddressType": ("NodeAddress.type",),
    "v1.NodeConditionType": ("NodeCondition.type",),
    "v1.NodePhase": ("NodeStatus.phase",),
    "v1.NodeSelectorOperator": ("NodeSelectorRequirement.operator",),
    "v1.OSName": ("PodOS.name",),
    "v1.PathType": ("HTTPIngressPath.pathType",),
    "v1.PersistentVolumeAccessMode": (
        "PersistentVolumeClaimSpec.accessModes",
        "PersistentVolumeClaimStatus.accessModes",
        "PersistentVolumeSpec.accessModes",
    ),
    "v1.PersistentVolumeClaimPhase": ("PersistentVolumeClaimStatus.phase",),
    "v1.PersistentVolumeMode": ("PersistentVolumeClaimSpec.volumeMode", "PersistentVolumeSpec.volumeMode"),
    "v1.PersistentVolumePhase": ("PersistentVolumeStatus.phase",),
    "v1.PersistentVolumeReclaimPolicy": (
        "PersistentVolumeSpec.persistentVolumeReclaimPolicy",
        "StorageClass.reclaimPolicy",
    ),
    "v1.PodConditionType": ("PodCondition.type", "PodReadinessGate.conditionType"),
    "v1.PodFSGroupChangePolicy": ("PodSecurityContext.fsGroupChangePolicy",),
    "v1.PodManagementPolicyType": ("StatefulSetSpec.podManagementPolicy",),
    "v1.PodPhase": ("PodStatus.phase",),
    "v1.PodQOSClass": ("PodStatus.qosClass",),
    "v1.PolicyType": ("NetworkPolicySpec.policyTypes",),
    "v1.PreemptionPolicy": ("PodSpec.preemptionPolicy", "PriorityClass.preemptionPolicy"),
    "v1.ProcMountType": ("SecurityContext.procMount",),
    "v1.Protocol": (
        "ContainerPort.protocol",
        "EndpointPort.protocol",
        "NetworkPolicyPort.protocol",
        "PortStatus.protocol",
        "ServicePort.protocol",
    ),
    "v1.PullPolicy": ("Container.imagePullPolicy", "EphemeralContainer.imagePullPolicy"),
    "v1.ResourceQuotaScope": ("ResourceQuotaSpec.scopes", "ScopedResourceSelectorRequirement.scopeName"),
    "v1.RestartPolicy": ("PodSpec.restartPolicy",),
    "v1.ScopeSelectorOperator": ("ScopedResourceSelectorRequirement.operator",),
    "v1.SeccompProfileType": ("SeccompProfile.type",),
    "v1.SecretType": ("Secret.type",),
    "v1.ServiceAffinity": ("ServiceSpec.sessionAffinity",),
    "v1.ServiceExternalTrafficPolicy": ("ServiceSpec.externalTrafficPolicy",),
    "v1.ServiceInternalTrafficPolicy": ("ServiceSpec.internalTrafficPolicy",),
    "v1.ServiceType": ("ServiceSpec.type",),
    "v1.StatefulSetUpdateStrategyType": ("StatefulSetUpdateStrategy.type",),
    "v1.StorageMedium": ("EmptyDirVolumeSource.medium",),
    "v1.TaintEffect": ("Taint.effect", "Toleration.effect"),
    "v1.TerminationMessagePolicy": (
        "Container.terminationMessagePolicy",
        "EphemeralContainer.terminationMessagePolicy",
    ),
    "v1.TolerationOperator": ("Toleration.operator",),
    "v1.URIScheme": ("HTTPGetAction.scheme",),
    "v1.UnsatisfiableConstraintAction": ("TopologySpreadConstraint.whenUnsatisfiable",),
    "v1.VolumeBindingMode": ("StorageClass.volumeBindingMode",),
}
# (struct, wire name) → the name of the text, or of the texts in a list.
NAMED_TEXTS: Mapping[str, str] = MappingProxyType({
    place: name for name, places in _BY_NAME.items() for place in places
})
