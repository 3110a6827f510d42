"""Which flow schema takes a request."""

import pytest

from pinnace.api.flowcontrol_v1 import FlowSchema
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints import request_info
from pinnace.apiserver.flowcontrol import matching
from pinnace.apiserver.registry.flowcontrol import mandatory
from pinnace.component.http import Request, UserInfo

SCHEMAS = matching.in_order(
    FlowSchema(metadata=ObjectMeta(name=name), spec=spec)
    for name, spec in {**mandatory.FLOW_SCHEMAS, **mandatory.SUGGESTED_FLOW_SCHEMAS}.items()
)
AUTHENTICATED = "system:authenticated"
NODE = UserInfo("system:node:n1", groups=("system:nodes", AUTHENTICATED))
MANAGER = UserInfo("system:kube-controller-manager", groups=(AUTHENTICATED,))
ACCOUNT = UserInfo("system:serviceaccount:ns:a", groups=("system:serviceaccounts", AUTHENTICATED))
SYSTEM_ACCOUNT = UserInfo("system:serviceaccount:kube-system:a", groups=("system:serviceaccounts", AUTHENTICATED))
PERSON = UserInfo("ann", groups=(AUTHENTICATED,))
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


@pytest.mark.parametrize(
    ("user", "method", "path", "schema"),
    [
        pytest.param(UserInfo("root", groups=("system:masters",)), "GET", "/api/v1/pods", "exempt", id="masters"),
        pytest.param(UserInfo("x", groups=("system:unauthenticated",)), "GET", "/livez", "probes", id="probe"),
        pytest.param(MANAGER, "PUT", f"{LEASES}/kcm", "system-leader-election", id="leader"),
        pytest.param(MANAGER, "GET", "/api/v1/pods", "kube-controller-manager", id="controllers"),
        pytest.param(NODE, "PATCH", "/api/v1/nodes/n1/status", "system-node-high", id="node-status"),
        pytest.param(NODE, "PUT", f"{LEASES}/n1", "system-node-high", id="node-lease"),
        pytest.param(NODE, "GET", "/api/v1/pods", "system-nodes", id="node-list"),
        pytest.param(SYSTEM_ACCOUNT, "GET", "/api/v1/pods", "kube-system-service-accounts", id="system-account"),
        pytest.param(ACCOUNT, "GET", "/api/v1/pods", "service-accounts", id="account"),
        pytest.param(PERSON, "GET", "/version", "global-default", id="person"),
    ],
)
def test_requests_go_where_upstreams_schemas_lead_them(user, method, path, schema):
    """The schemas that every server has sort requests as they do upstream."""
    info = request_info.parse(Request(method, path))
    assert next(one.metadata.name for one in SCHEMAS if matching.matches(one, info, user)) == schema


def test_flows_are_told_apart_by_user_or_namespace():
    """ByUser, ByNamespace and no distinguisher."""
    by_name = {one.metadata.name: one for one in SCHEMAS}
    info = request_info.parse(Request("GET", "/api/v1/namespaces/ns/pods"))
    names = ("service-accounts", "kube-scheduler", "exempt")
    assert [matching.distinguisher(by_name[name], info, PERSON) for name in names] == ["ann", "ns", ""]
