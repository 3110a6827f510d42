"""The table of built-in resources: what is served under which path, and how discovery describes it.

One row a resource and version, in discovery's order. Groups stand in the order of `/apis`; the first version of a group is its
preferred one. Upstream: the registries' storage providers and `kubectl api-resources` of v1.36.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from types import MappingProxyType
from typing import TypeAlias

from msgspec import Struct

# Inside `Resource` the bare word names its property.
StructType: TypeAlias = type[Struct]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STATUS_VERBS = ("get", "patch", "update")
PROXY_VERBS = ("create", "delete", "get", "patch", "update")
STREAM_VERBS = ("create", "get")


class Subresource(Struct, frozen=True):
    """What stands behind an object's path; group and version are given where they are not the parent's."""

    name: str
    kind: str
    verbs: tuple[str, ...] = STATUS_VERBS
    group: str | None = None
    version: str | None = None


class Resource(Struct, frozen=True, eq=False, dict=True):
    """A kind as it is served in one version of its group; a row of a table, so that each is equal to itself alone."""

    group: str
    version: str
    kind: str
    plural: str
    module: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    # The group and version that its objects are stored in, where that is not its own.
    stored_in: tuple[str, str] | None = None

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @cached_property
    def api_version(self) -> str:
        """The apiVersion of its objects: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def qualified(self) -> str:
        """The resource as messages name it: "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @cached_property
    def type(self) -> StructType:
        """The generated struct; imported when first asked for."""
        found: StructType = getattr(import_module(f"pinnace.api.{self.module}"), self.kind)
        return found

    @cached_property
    def list_type(self) -> StructType | None:
        """The struct of a list of it; None for kinds that cannot be listed."""
        found: StructType | None = getattr(import_module(f"pinnace.api.{self.module}"), self.kind + "List", None)
        return found

    @cached_property
    def storage_version_hash(self) -> str:
        """What discovery tells clients that migrate storage; equal when the stored form is."""
        group, version = self.stored_in or (self.group, self.version)
        text = f"{group}/{version}/{self.kind}".encode()
        return base64.b64encode(hashlib.sha256(text).digest()[:8]).decode()

    @property
    def is_stored(self) -> bool:
        """Whether objects of it outlive the request that creates them."""
        return "get" in self.verbs and "create" in self.verbs

    def subresource(self, name: str) -> Subresource | None:
        """Return a subresource, None when the kind has none of that name."""
        return next((item for item in self.subresources if item.name == name), None)

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection or of one object; parts are taken as they are."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


def _status(kind: str) -> tuple[Subresource, ...]:
    return (Subresource("status", kind),)


SCALE = Subresource("scale", "Scale", STATUS_VERBS, "autoscaling", "v1")
CREATE_ONLY = ("create",)
READ_ONLY = ("get", "list")
POD_PARTS = (
    Subresource("attach", "PodAttachOptions", STREAM_VERBS),
    Subresource("binding", "Binding", CREATE_ONLY),
    Subresource("ephemeralcontainers", "Pod"),
    Subresource("eviction", "Eviction", CREATE_ONLY, "policy", "v1"),
    Subresource("exec", "PodExecOptions", STREAM_VERBS),
    Subresource("log", "Pod", ("get",)),
    Subresource("portforward", "PodPortForwardOptions", STREAM_VERBS),
    Subresource("proxy", "PodProxyOptions", PROXY_VERBS),
    Subresource("resize", "Pod"),
    Subresource("status", "Pod"),
)
NO_COLLECTION = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")


class _Rows:
    """Collects the rows of one group-version."""

    def __init__(self, group: str, version: str, module: str) -> None:
        self.group, self.version, self.module = group, version, module
        self.rows: list[Resource] = []

    def add(
        self,
        plural: str,
        kind: str,
        short: str = "",
        *,
        cluster: bool = False,
        verbs: tuple[str, ...] = ALL_VERBS,
        parts: tuple[Subresource, ...] = (),
        categories: tuple[str, ...] = (),
        stored_in: tuple[str, str] | None = None,
    ) -> None:
        self.rows.append(
            Resource(
                self.group,
                self.version,
                kind,
                plural,
                self.module,
                tuple(short.split()),
                categories,
                not cluster,
                verbs,
                parts,
                stored_in,
            )
        )


ALL = ("all",)
EXTENSIONS = ("api-extensions",)


def _core() -> list[Resource]:
    rows = _Rows("", "v1", "core_v1")
    rows.add("bindings", "Binding", verbs=CREATE_ONLY)
    rows.add("componentstatuses", "ComponentStatus", "cs", cluster=True, verbs=READ_ONLY)
    rows.add("configmaps", "ConfigMap", "cm")
    rows.add("endpoints", "Endpoints", "ep")
    rows.add("events", "Event", "ev")
    rows.add("limitranges", "LimitRange", "limits")
    rows.add(
        "namespaces",
        "Namespace",
        "ns",
        cluster=True,
        verbs=NO_COLLECTION,
        parts=(Subresource("finalize", "Namespace", ("update",)), *_status("Namespace")),
    )
    node_proxy = Subresource("proxy", "NodeProxyOptions", PROXY_VERBS)
    rows.add("nodes", "Node", "no", cluster=True, parts=(node_proxy, *_status("Node")))
    rows.add("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", parts=_status("PersistentVolumeClaim"))
    rows.add("persistentvolumes", "PersistentVolume", "pv", cluster=True, parts=_status("PersistentVolume"))
    rows.add("pods", "Pod", "po", parts=POD_PARTS, categories=ALL)
    rows.add("podtemplates", "PodTemplate")
    rows.add(
        "replicationcontrollers",
        "ReplicationController",
        "rc",
        parts=(SCALE, *_status("ReplicationController")),
        categories=ALL,
    )
    rows.add("resourcequotas", "ResourceQuota", "quota", parts=_status("ResourceQuota"))
    rows.add("secrets", "Secret")
    token = Subresource("token", "TokenRequest", CREATE_ONLY, "authentication.k8s.io", "v1")
    rows.add("serviceaccounts", "ServiceAccount", "sa", parts=(token,))
    service_proxy = Subresource("proxy", "ServiceProxyOptions", PROXY_VERBS)
    rows.add("services", "Service", "svc", parts=(service_proxy, *_status("Service")), categories=ALL)
    return rows.rows


def _apiregistration() -> list[Resource]:
    rows = _Rows("apiregistration.k8s.io", "v1", "apiregistration_v1")
    rows.add("apiservices", "APIService", cluster=True, parts=_status("APIService"), categories=EXTENSIONS)
    return rows.rows


def _apps() -> list[Resource]:
    rows = _Rows("apps", "v1", "apps_v1")
    rows.add("controllerrevisions", "ControllerRevision")
    rows.add("daemonsets", "DaemonSet", "ds", parts=_status("DaemonSet"), categories=ALL)
    rows.add("deployments", "Deployment", "deploy", parts=(SCALE, *_status("Deployment")), categories=ALL)
    rows.add("replicasets", "ReplicaSet", "rs", parts=(SCALE, *_status("ReplicaSet")), categories=ALL)
    rows.add("statefulsets", "StatefulSet", "sts", parts=(SCALE, *_status("StatefulSet")), categories=ALL)
    return rows.rows


def _events() -> list[Resource]:
    rows = _Rows("events.k8s.io", "v1", "events_v1")
    rows.add("events", "Event", "ev", stored_in=("", "v1"))
    return rows.rows


def _authentication() -> list[Resource]:
    rows = _Rows("authentication.k8s.io", "v1", "authentication_v1")
    rows.add("selfsubjectreviews", "SelfSubjectReview", cluster=True, verbs=CREATE_ONLY)
    rows.add("tokenreviews", "TokenReview", cluster=True, verbs=CREATE_ONLY)
    return rows.rows


def _authorization() -> list[Resource]:
    rows = _Rows("authorization.k8s.io", "v1", "authorization_v1")
    rows.add("localsubjectaccessreviews", "LocalSubjectAccessReview", verbs=CREATE_ONLY)
    rows.add("selfsubjectaccessreviews", "SelfSubjectAccessReview", cluster=True, verbs=CREATE_ONLY)
    rows.add("selfsubjectrulesreviews", "SelfSubjectRulesReview", cluster=True, verbs=CREATE_ONLY)
    rows.add("subjectaccessreviews", "SubjectAccessReview", cluster=True, verbs=CREATE_ONLY)
    return rows.rows


def _autoscaling(version: str) -> list[Resource]:
    rows = _Rows("autoscaling", version, f"autoscaling_{version}")
    rows.add(
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "hpa",
        parts=_status("HorizontalPodAutoscaler"),
        categories=ALL,
        stored_in=None if version == "v2" else ("autoscaling", "v2"),
    )
    return rows.rows


def _batch() -> list[Resource]:
    rows = _Rows("batch", "v1", "batch_v1")
    rows.add("cronjobs", "CronJob", "cj", parts=_status("CronJob"), categories=ALL)
    rows.add("jobs", "Job", parts=_status("Job"), categories=ALL)
    return rows.rows


def _certificates() -> list[Resource]:
    rows = _Rows("certificates.k8s.io", "v1", "certificates_v1")
    kind = "CertificateSigningRequest"
    parts = (Subresource("approval", kind), *_status(kind))
    rows.add("certificatesigningrequests", kind, "csr", cluster=True, parts=parts)
    return rows.rows


def _networking() -> list[Resource]:
    rows = _Rows("networking.k8s.io", "v1", "networking_v1")
    rows.add("ingressclasses", "IngressClass", cluster=True)
    rows.add("ingresses", "Ingress", "ing", parts=_status("Ingress"))
    rows.add("ipaddresses", "IPAddress", "ip", cluster=True)
    rows.add("networkpolicies", "NetworkPolicy", "netpol")
    rows.add("servicecidrs", "ServiceCIDR", cluster=True, parts=_status("ServiceCIDR"))
    return rows.rows


def _policy() -> list[Resource]:
    rows = _Rows("policy", "v1", "policy_v1")
    rows.add("poddisruptionbudgets", "PodDisruptionBudget", "pdb", parts=_status("PodDisruptionBudget"))
    return rows.rows


def _rbac() -> list[Resource]:
    rows = _Rows("rbac.authorization.k8s.io", "v1", "rbac_v1")
    rows.add("clusterrolebindings", "ClusterRoleBinding", cluster=True)
    rows.add("clusterroles", "ClusterRole", cluster=True)
    rows.add("rolebindings", "RoleBinding")
    rows.add("roles", "Role")
    return rows.rows


def _storage() -> list[Resource]:
    rows = _Rows("storage.k8s.io", "v1", "storage_v1")
    rows.add("csidrivers", "CSIDriver", cluster=True)
    rows.add("csinodes", "CSINode", cluster=True)
    rows.add("csistoragecapacities", "CSIStorageCapacity")
    rows.add("storageclasses", "StorageClass", "sc", cluster=True)
    rows.add("volumeattachments", "VolumeAttachment", cluster=True, parts=_status("VolumeAttachment"))
    rows.add("volumeattributesclasses", "VolumeAttributesClass", "vac", cluster=True)
    return rows.rows


def _admissionregistration() -> list[Resource]:
    rows = _Rows("admissionregistration.k8s.io", "v1", "admissionregistration_v1")
    for plural, kind in (
        ("mutatingadmissionpolicies", "MutatingAdmissionPolicy"),
        ("mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"),
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    ):
        rows.add(plural, kind, cluster=True, categories=EXTENSIONS)
    kind = "ValidatingAdmissionPolicy"
    rows.add("validatingadmissionpolicies", kind, cluster=True, parts=_status(kind), categories=EXTENSIONS)
    for plural, kind in (
        ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
    ):
        rows.add(plural, kind, cluster=True, categories=EXTENSIONS)
    return rows.rows


def _apiextensions() -> list[Resource]:
    rows = _Rows("apiextensions.k8s.io", "v1", "apiextensions_v1")
    kind = "CustomResourceDefinition"
    rows.add("customresourcedefinitions", kind, "crd crds", cluster=True, parts=_status(kind), categories=EXTENSIONS)
    return rows.rows


def _scheduling() -> list[Resource]:
    rows = _Rows("scheduling.k8s.io", "v1", "scheduling_v1")
    rows.add("priorityclasses", "PriorityClass", "pc", cluster=True)
    return rows.rows


def _coordination() -> list[Resource]:
    rows = _Rows("coordination.k8s.io", "v1", "coordination_v1")
    rows.add("leases", "Lease")
    return rows.rows


def _node() -> list[Resource]:
    rows = _Rows("node.k8s.io", "v1", "node_v1")
    rows.add("runtimeclasses", "RuntimeClass", cluster=True)
    return rows.rows


def _discovery() -> list[Resource]:
    rows = _Rows("discovery.k8s.io", "v1", "discovery_v1")
    rows.add("endpointslices", "EndpointSlice")
    return rows.rows


def _resource() -> list[Resource]:
    rows = _Rows("resource.k8s.io", "v1", "resource_v1")
    rows.add("deviceclasses", "DeviceClass", cluster=True)
    rows.add("resourceclaims", "ResourceClaim", parts=_status("ResourceClaim"))
    rows.add("resourceclaimtemplates", "ResourceClaimTemplate")
    rows.add("resourceslices", "ResourceSlice", cluster=True)
    return rows.rows


def _flowcontrol() -> list[Resource]:
    rows = _Rows("flowcontrol.apiserver.k8s.io", "v1", "flowcontrol_v1")
    for plural, kind in (("flowschemas", "FlowSchema"), ("prioritylevelconfigurations", "PriorityLevelConfiguration")):
        rows.add(plural, kind, cluster=True, parts=_status(kind))
    return rows.rows


RESOURCES: tuple[Resource, ...] = (
    *_core(),
    *_apiregistration(),
    *_apps(),
    *_events(),
    *_authentication(),
    *_authorization(),
    *_autoscaling("v2"),
    *_autoscaling("v1"),
    *_batch(),
    *_certificates(),
    *_networking(),
    *_policy(),
    *_rbac(),
    *_storage(),
    *_admissionregistration(),
    *_apiextensions(),
    *_scheduling(),
    *_coordination(),
    *_node(),
    *_discovery(),
    *_resource(),
    *_flowcontrol(),
)


def _groups() -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for resource in RESOURCES:
        versions = groups.get(resource.group, ())
        if resource.version not in versions:
            groups[resource.group] = (*versions, resource.version)
    return MappingProxyType(groups)


# Group → versions, the preferred one first; in the order of `/apis`, the core group ("") first.
GROUPS = _groups()

_BY_PATH = {(item.group, item.version, item.plural): item for item in RESOURCES}
_BY_KIND = {(item.api_version, item.kind): item for item in RESOURCES}
_BY_MODULE = {(f"pinnace.api.{item.module}", item.kind): item for item in RESOURCES}


def by_path(group: str, version: str, plural: str) -> Resource | None:
    """Return the resource served under a path, None when there is none."""
    return _BY_PATH.get((group, version, plural))


def stored(resource: Resource) -> Resource:
    """Return the version of a resource that its objects are stored in."""
    if resource.stored_in is None:
        return resource
    group, version = resource.stored_in
    return _BY_PATH[group, version, resource.plural]


def by_kind(api_version: str, kind: str) -> Resource | None:
    """Return the resource that an object's apiVersion and kind name, None when there is none."""
    return _BY_KIND.get((api_version, kind))


def by_type(cls: StructType) -> Resource:
    """Return the resource whose objects have this generated type.

    Raises:
        KeyError: it is not the type of a resource.
    """
    return _BY_MODULE[cls.__module__, cls.__name__]
