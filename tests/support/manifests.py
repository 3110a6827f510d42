"""One small, valid object of every kind that is stored, as a client would send it."""

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pinnace.api.resources import Resource

NAME = "a"
_TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
_SELECTOR = {"matchLabels": {"app": "a"}}
_JOB = {"template": {"spec": {**_TEMPLATE["spec"], "restartPolicy": "Never"}}}
_ROLE_REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
_HOOK = {
    "name": "a.example.com",
    "clientConfig": {"url": "https://hooks.example.com/a"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
_RULES = {
    "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
}
_SCHEMA = {"openAPIV3Schema": {"type": "object"}}
_VERSION = {"name": "v1", "served": True, "storage": True, "schema": _SCHEMA}


def certificate_request(name: str = "alice") -> str:
    """Return a fresh, signed PKCS#10 request, as the API carries it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


# What a kind needs beside its name, by group and plural.
_BODIES = {
    ("", "endpoints"): {"subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80}]}]},
    ("", "events"): {"involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"}, "reason": "Test"},
    ("", "limitranges"): {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}},
    ("", "persistentvolumeclaims"): {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    ("", "persistentvolumes"): {
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/a"}}
    },
    ("", "pods"): {"spec": _TEMPLATE["spec"]},
    ("", "podtemplates"): {"template": _TEMPLATE},
    ("", "replicationcontrollers"): {"spec": {"selector": {"app": "a"}, "template": _TEMPLATE}},
    ("", "resourcequotas"): {"spec": {"hard": {"pods": "10"}}},
    ("", "services"): {"spec": {"ports": [{"port": 80}]}},
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): {
        "spec": {
            "matchConstraints": _RULES,
            "reinvocationPolicy": "Never",
            "mutations": [
                {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'test', path: '/kind'}]"}}
            ],
        }
    },
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): {"spec": {"policyName": "a"}},
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): {"webhooks": [_HOOK]},
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): {
        "spec": {"matchConstraints": _RULES, "validations": [{"expression": "true"}]}
    },
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): {
        "spec": {"policyName": "a", "validationActions": ["Deny"]}
    },
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): {"webhooks": [_HOOK]},
    ("apiextensions.k8s.io", "customresourcedefinitions"): {
        "metadata": {"name": "as.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"plural": "as", "kind": "A"},
            "scope": "Namespaced",
            "versions": [_VERSION],
        },
    },
    ("apiregistration.k8s.io", "apiservices"): {
        "metadata": {"name": "v1.example.com"},
        "spec": {
            "group": "example.com",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 10,
            "service": {"name": "a", "namespace": "default"},
        },
    },
    ("apps", "controllerrevisions"): {"revision": 1, "data": {"a": 1}},
    ("apps", "daemonsets"): {"spec": {"selector": _SELECTOR, "template": _TEMPLATE}},
    ("apps", "deployments"): {"spec": {"selector": _SELECTOR, "template": _TEMPLATE}},
    ("apps", "replicasets"): {"spec": {"selector": _SELECTOR, "template": _TEMPLATE}},
    ("apps", "statefulsets"): {"spec": {"selector": _SELECTOR, "template": _TEMPLATE, "serviceName": "a"}},
    ("autoscaling", "horizontalpodautoscalers"): {
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}}
    },
    ("batch", "cronjobs"): {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": _JOB}}},
    ("batch", "jobs"): {"spec": _JOB},
    ("certificates.k8s.io", "certificatesigningrequests"): {
        "spec": {"signerName": "example.com/a", "usages": ["client auth"]}
    },
    ("coordination.k8s.io", "leases"): {"spec": {"holderIdentity": "a", "leaseDurationSeconds": 10}},
    ("discovery.k8s.io", "endpointslices"): {"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}]},
    ("events.k8s.io", "events"): {
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingController": "example.com/a",
        "reportingInstance": "a-1",
        "action": "Testing",
        "reason": "Test",
        "type": "Normal",
        "regarding": {"kind": "Pod", "name": "a", "namespace": "default"},
    },
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): {
        "spec": {
            "priorityLevelConfiguration": {"name": "global-default"},
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": "a"}}],
                    "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}],
                }
            ],
        }
    },
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): {
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}
    },
    ("networking.k8s.io", "ingressclasses"): {"spec": {"controller": "example.com/a"}},
    ("networking.k8s.io", "ingresses"): {
        "spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}
    },
    ("networking.k8s.io", "ipaddresses"): {
        "metadata": {"name": "10.96.7.7"},
        "spec": {"parentRef": {"resource": "services", "name": "a", "namespace": "default"}},
    },
    ("networking.k8s.io", "networkpolicies"): {"spec": {"podSelector": {}}},
    ("networking.k8s.io", "servicecidrs"): {"spec": {"cidrs": ["10.97.0.0/16"]}},
    ("node.k8s.io", "runtimeclasses"): {"handler": "runc"},
    ("policy", "poddisruptionbudgets"): {"spec": {"minAvailable": 1, "selector": _SELECTOR}},
    ("rbac.authorization.k8s.io", "clusterrolebindings"): {"roleRef": _ROLE_REF},
    ("rbac.authorization.k8s.io", "rolebindings"): {"roleRef": _ROLE_REF},
    ("resource.k8s.io", "resourceclaims"): {
        "spec": {"devices": {"requests": [{"name": "a", "exactly": {"deviceClassName": "a"}}]}}
    },
    ("resource.k8s.io", "resourceclaimtemplates"): {
        "spec": {"spec": {"devices": {"requests": [{"name": "a", "exactly": {"deviceClassName": "a"}}]}}}
    },
    ("resource.k8s.io", "resourceslices"): {
        "spec": {
            "driver": "a.example.com",
            "nodeName": "a",
            "pool": {"name": "a", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "d"}],
        }
    },
    ("scheduling.k8s.io", "priorityclasses"): {"value": 7},
    ("storage.k8s.io", "csidrivers"): {"spec": {}},
    ("storage.k8s.io", "csinodes"): {"spec": {"drivers": [{"name": "a.example.com", "nodeID": "a"}]}},
    ("storage.k8s.io", "csistoragecapacities"): {"storageClassName": "a", "capacity": "1Gi"},
    ("storage.k8s.io", "storageclasses"): {"provisioner": "example.com/a"},
    ("storage.k8s.io", "volumeattachments"): {
        "spec": {"attacher": "a.example.com", "nodeName": "a", "source": {"persistentVolumeName": "a"}}
    },
    ("storage.k8s.io", "volumeattributesclasses"): {"driverName": "a.example.com", "parameters": {"iops": "1"}},
}


def manifest(resource: Resource) -> dict[str, object]:
    """Return an object of a kind."""
    body = dict(_BODIES.get((resource.group, resource.plural), {}))
    metadata = {"name": NAME, **body.pop("metadata", {})}
    if resource.plural == "certificatesigningrequests":
        body["spec"] = {**body["spec"], "request": certificate_request()}
    if resource.namespaced:
        metadata["namespace"] = "default"
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata, **body}
