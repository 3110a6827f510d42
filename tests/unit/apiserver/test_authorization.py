import pytest

from pinnace.apiserver.authorization import (
    Attributes,
    Authorizer,
    Authorizers,
    BootstrapAuthorizer,
    Decision,
    Verdict,
    refusal,
    require,
)
from pinnace.apiserver.authorization.rules import on, on_paths
from pinnace.component.http import UserInfo
from pinnace.machinery.errors import Forbidden

ANYONE = ("system:authenticated",)


def resource(user, verb, resource_, group="", **fields):
    plural, _, subresource = resource_.partition("/")
    return Attributes(
        user=user, verb=verb, is_resource=True, group=group, resource=plural, subresource=subresource, **fields
    )


def path(user, path_, verb="get"):
    return Attributes(user=user, verb=verb, path=path_)


def user(name, *groups):
    return UserInfo(name, groups=(*groups, *ANYONE))


SCHEDULER = user("system:kube-scheduler")
CONTROLLERS = user("system:kube-controller-manager")
DEPLOYMENTS = user("system:serviceaccount:kube-system:deployment-controller", "system:serviceaccounts")
NODE = user("system:node:n1", "system:nodes")
PROXY = user("system:kube-proxy")
JANE = user("jane")
NOBODY = UserInfo("system:anonymous", groups=("system:unauthenticated",))


@pytest.mark.parametrize(
    ("attributes", "allowed"),
    [
        pytest.param(resource(user("root", "system:masters"), "delete", "nodes"), True, id="masters"),
        pytest.param(path(user("root", "system:masters"), "/anything", "post"), True, id="masters paths"),
        pytest.param(resource(SCHEDULER, "create", "pods/binding"), True, id="scheduler binds"),
        pytest.param(resource(SCHEDULER, "create", "pods"), False, id="scheduler makes no pods"),
        pytest.param(
            resource(SCHEDULER, "update", "leases", "coordination.k8s.io", name="kube-scheduler"), True, id="own lease"
        ),
        pytest.param(resource(SCHEDULER, "update", "leases", "coordination.k8s.io", name="x"), False, id="other lease"),
        pytest.param(resource(SCHEDULER, "get", "secrets"), False, id="scheduler reads no secrets"),
        pytest.param(resource(CONTROLLERS, "create", "replicasets", "apps"), True, id="controllers make replicasets"),
        pytest.param(resource(CONTROLLERS, "delete", "widgets", "example.com"), True, id="gc deletes anything"),
        pytest.param(
            resource(CONTROLLERS, "create", "clusterrolebindings", "rbac.authorization.k8s.io"), False, id="no roles"
        ),
        pytest.param(resource(CONTROLLERS, "create", "pods/exec"), False, id="controllers exec nowhere"),
        pytest.param(resource(DEPLOYMENTS, "create", "replicasets", "apps"), True, id="controller by account"),
        pytest.param(
            resource(user("system:serviceaccount:default:x-controller"), "list", "secrets"),
            False,
            id="not in kube-system",
        ),
        pytest.param(resource(NODE, "patch", "nodes/status"), True, id="node status"),
        pytest.param(resource(NODE, "create", "serviceaccounts/token"), True, id="node asks tokens"),
        pytest.param(resource(NODE, "delete", "nodes"), False, id="node deletes no nodes"),
        pytest.param(resource(PROXY, "watch", "endpointslices", "discovery.k8s.io"), True, id="proxy"),
        pytest.param(resource(PROXY, "update", "services"), False, id="proxy writes nothing"),
        pytest.param(resource(JANE, "list", "pods"), False, id="user without roles"),
        pytest.param(resource(JANE, "create", "selfsubjectreviews", "authentication.k8s.io"), True, id="self review"),
        pytest.param(
            resource(JANE, "create", "subjectaccessreviews", "authorization.k8s.io"), False, id="review of others"
        ),
        pytest.param(path(JANE, "/apis/apps/v1"), True, id="discovery"),
        pytest.param(path(JANE, "/openapi/v3"), True, id="openapi"),
        pytest.param(path(JANE, "/metrics"), False, id="metrics"),
        pytest.param(path(user("prom", "system:monitoring"), "/metrics"), True, id="monitoring"),
        pytest.param(path(JANE, "/api", "post"), False, id="discovery is read only"),
        pytest.param(path(NOBODY, "/healthz"), True, id="anonymous health"),
        pytest.param(path(NOBODY, "/version"), True, id="anonymous version"),
        pytest.param(path(NOBODY, "/readyz/etcd"), False, id="anonymous single check"),
        pytest.param(path(NOBODY, "/api"), False, id="anonymous discovery"),
        pytest.param(
            resource(NOBODY, "create", "selfsubjectreviews", "authentication.k8s.io"), False, id="anonymous review"
        ),
    ],
)
async def test_bootstrap_table(attributes, allowed):
    """The table grants what upstream's bootstrap roles grant, and nothing else."""
    verdict = await BootstrapAuthorizer().authorize(attributes)
    assert verdict.decision is (Decision.ALLOWED if allowed else Decision.NO_OPINION)


@pytest.mark.parametrize(
    ("rule", "resource_", "matches"),
    [
        (on("core", "pods", "get"), "pods", True),
        (on("core", "pods", "get"), "pods/log", False),
        (on("core", "pods/log", "get"), "pods/log", True),
        (on("core", "*/log", "get"), "pods/log", True),
        (on("core", "*", "*"), "pods/log", True),
        (on("core", "pods/*", "get"), "pods/log", False),
        (on("apps", "pods", "get"), "pods", False),
        (on("*", "pods", "get"), "pods", True),
        (on("core", "pods", "get", names="a"), "pods", True),
        (on("core", "pods", "get", names="b"), "pods", False),
    ],
)
def test_rule_matches_as_upstream(rule, resource_, matches):
    """Stars stand where upstream lets them stand, and for nothing else."""
    assert rule.allows(resource(JANE, "get", resource_, name="a")) is matches


def test_rule_on_paths_matches_whole_or_by_a_trailing_star():
    """A path is matched whole unless the rule ends with a star."""
    rule = on_paths("get", "/api/*", "/version")
    assert rule.allows(path(JANE, "/api/v1"))
    assert rule.allows(path(JANE, "/version"))
    assert not rule.allows(path(JANE, "/version/x"))
    assert not rule.allows(resource(JANE, "get", "pods"))


@pytest.mark.parametrize(
    ("attributes", "message", "details"),
    [
        pytest.param(
            resource(JANE, "list", "pods", namespace="default"),
            'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"',
            {"kind": "pods"},
            id="namespaced",
        ),
        pytest.param(
            resource(JANE, "get", "deployments/scale", "apps", namespace="ns", name="web"),
            'deployments.apps "web" is forbidden: User "jane" cannot get resource "deployments/scale" in API group "apps" '
            'in the namespace "ns"',
            {"name": "web", "group": "apps", "kind": "deployments"},
            id="subresource",
        ),
        pytest.param(
            resource(JANE, "list", "nodes"),
            'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope',
            {"kind": "nodes"},
            id="cluster",
        ),
        pytest.param(path(JANE, "/metrics"), 'forbidden: User "jane" cannot get path "/metrics"', {}, id="path"),
    ],
)
def test_refusal_has_upstreams_text(attributes, message, details):
    """The 403 reads as clients of upstream know it."""
    status = refusal(attributes).status()
    assert (status["code"], status["reason"], status["message"], status["details"]) == (
        403,
        "Forbidden",
        message,
        details,
    )


class Fixed(Authorizer):
    def __init__(self, decision, reason=""):
        self._verdict = Verdict(decision, reason)

    async def authorize(self, attributes):
        return self._verdict


async def test_authorizers_stop_at_the_first_opinion_and_keep_reasons():
    """A denial is not overruled by a later allowance; without opinions the reasons are given."""
    silent, no = Fixed(Decision.NO_OPINION, "no role"), Fixed(Decision.DENIED, "frozen")
    attributes = resource(JANE, "get", "pods", name="a", namespace="ns")
    assert (await Authorizers(silent, no, Fixed(Decision.ALLOWED)).authorize(attributes)).decision is Decision.DENIED
    with pytest.raises(Forbidden, match=r'in the namespace "ns": no role, no node$'):
        await require(Authorizers(silent, Fixed(Decision.NO_OPINION, "no node")), attributes)
