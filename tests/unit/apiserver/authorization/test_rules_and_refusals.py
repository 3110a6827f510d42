import pytest

from pinnace.apiserver.authorization import Authorizer, Authorizers, Decision, Verdict, refusal, require
from pinnace.apiserver.authorization.policy.notation import on, on_paths
from pinnace.apiserver.authorization.rules import allows
from pinnace.machinery.errors import Forbidden
from support.authorization import path, resource, user

JANE = user("jane")


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
    assert allows(rule, resource(JANE, "get", resource_, name="a")) is matches


def test_rule_on_paths_matches_whole_or_by_a_trailing_star():
    """A path is matched whole unless the rule ends with a star."""
    rule = on_paths("get", "/api/* /version")
    assert allows(rule, path(JANE, "/api/v1"))
    assert allows(rule, path(JANE, "/version"))
    assert not allows(rule, path(JANE, "/version/x"))
    assert not allows(rule, resource(JANE, "get", "pods"))


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
    with pytest.raises(Forbidden, match=r'in the namespace "ns": no role\nno node$'):
        await require(Authorizers(silent, Fixed(Decision.NO_OPINION, "no node")), attributes)
