import pytest

from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from pinnace.apiserver.authentication import without_credentials
from pinnace.apiserver.endpoints import request_info
from pinnace.apiserver.endpoints.impersonation import impersonate
from pinnace.component.http import Headers, Request, UserInfo
from pinnace.machinery.errors import BadRequest, Forbidden
from support.authorization import Policy, account, user

ROOT = user("root", "system:masters")
JANE = user("jane")
AGENT = UserInfo(
    "system:serviceaccount:ns:agent",
    groups=("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"),
    extra={"authentication.kubernetes.io/node-name": ("n1",)},
)
AUTHENTICATION = "authentication.k8s.io"


def rule(verbs, resources, group="", names=()):
    return PolicyRule(
        verbs=tuple(verbs.split()),
        api_groups=(group,),
        resources=tuple(resources.split()),
        resource_names=tuple(names),
    )


def policy(*rules, who="jane"):
    subject = Subject(kind="User", name=who)
    return Policy(
        ClusterRole(metadata=ObjectMeta(name="r"), rules=rules),
        ClusterRoleBinding(
            metadata=ObjectMeta(name="b"), subjects=(subject,), role_ref=RoleRef(kind="ClusterRole", name="r")
        ),
        bootstrap=False,
    )


async def act(who, granted, *headers, path="/api/v1/namespaces/ns/pods", method="GET"):
    named = [(f"Impersonate-{name}", value) for name, value in headers]
    request = Request(method, path, headers=Headers(named))
    return await impersonate(request, request_info.parse(request), who, granted.authorizer)


@pytest.mark.parametrize(
    ("headers", "groups"),
    [
        pytest.param([("User", "alice")], ("system:authenticated",), id="user"),
        pytest.param(
            [("User", "alice"), ("Group", "a"), ("Group", "b")], ("a", "b", "system:authenticated"), id="groups"
        ),
        pytest.param(
            [("User", "system:serviceaccount:ns:sa")],
            ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"),
            id="account",
        ),
        pytest.param(
            [("User", "system:serviceaccount:ns:sa"), ("Group", "x")],
            ("x", "system:authenticated"),
            id="account groups",
        ),
        pytest.param([("User", "system:anonymous")], ("system:unauthenticated",), id="anonymous"),
        pytest.param([("User", "a"), ("Group", "system:unauthenticated")], ("system:unauthenticated",), id="nobody"),
        pytest.param([("User", "system:node:n1")], ("system:nodes", "system:authenticated"), id="node"),
        pytest.param(
            [("User", "a"), ("Group", "system:masters")], ("system:masters", "system:authenticated"), id="masters"
        ),
    ],
)
async def test_groups_follow_the_name(headers, groups):
    """What is not asked for and goes with the name is added."""
    assert (await act(ROOT, policy(), *headers)).groups == groups


async def test_uid_and_extra_are_taken_on():
    """Keys of extra are in lower case and percent-decoded; each may have several values."""
    found = await act(
        ROOT, policy(), ("User", "a"), ("Uid", "7"), ("Extra-Team%2fName", "red"), ("Extra-team%2Fname", "blue")
    )
    assert (found.uid, dict(found.extra)) == ("7", {"team/name": ("red", "blue")})


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([("Group", "a")], 'Name:"", UID:"", Groups:[]string{"a"}, Extra:map[string][]string(nil)'),
        ([("Uid", "7")], 'Name:"", UID:"7", Groups:[]string(nil), Extra:map[string][]string(nil)'),
        ([("Extra-k", "v")], 'Name:"", UID:"", Groups:[]string(nil), Extra:map[string][]string{"k":[]string{"v"}}'),
    ],
)
async def test_nothing_is_taken_on_without_a_name(headers, shown):
    """The text shows what was asked for as Go prints it."""
    with pytest.raises(BadRequest) as caught:
        await act(ROOT, policy(), *headers)
    assert str(caught.value) == f"requested &user.DefaultInfo{{{shown}}} without impersonating a user name"


OLD = (
    rule("impersonate", "users", names=("alice",)),
    rule("impersonate", "groups", names=("devs",)),
    rule("impersonate", "serviceaccounts", names=("sa",)),
    rule("impersonate", "uids", AUTHENTICATION, names=("7",)),
    rule("impersonate", "userextras/team", AUTHENTICATION, names=("red",)),
)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ([("User", "alice")], True),
        ([("User", "bob")], False),
        ([("User", "alice"), ("Group", "devs")], True),
        ([("User", "alice"), ("Group", "devs"), ("Group", "ops")], False),
        ([("User", "alice"), ("Uid", "7")], True),
        ([("User", "alice"), ("Uid", "8")], False),
        ([("User", "alice"), ("Extra-team", "red")], True),
        ([("User", "alice"), ("Extra-team", "blue")], False),
        ([("User", "alice"), ("Extra-scopes", "red")], False),
        ([("User", "system:serviceaccount:ns:sa")], True),
        ([("User", "system:serviceaccount:ns:other")], False),
        # No account has such a name, so it is a user's.
        ([("User", "system:serviceaccount:ns:sa:x")], False),
    ],
)
async def test_every_name_needs_the_verb(headers, allowed):
    """User, groups, uid and each value of extra are asked about one by one."""
    granted = policy(*OLD)
    if allowed:
        assert (await act(JANE, granted, *headers)).name == headers[0][1]
    else:
        with pytest.raises(Forbidden):
            await act(JANE, granted, *headers)


CONSTRAINED = (
    rule("impersonate:user-info", "users", AUTHENTICATION, names=("alice",)),
    rule("impersonate:user-info", "groups", AUTHENTICATION),
    rule("impersonate-on:user-info:list", "pods"),
    rule("impersonate:serviceaccount", "serviceaccounts", AUTHENTICATION, names=("sa",)),
    rule("impersonate-on:serviceaccount:list", "pods"),
    rule("impersonate:arbitrary-node", "nodes", AUTHENTICATION, names=("n2",)),
    rule("impersonate-on:arbitrary-node:list", "pods"),
)


@pytest.mark.parametrize(
    ("headers", "path", "allowed"),
    [
        ([("User", "alice")], "/api/v1/namespaces/ns/pods", True),
        ([("User", "alice"), ("Group", "devs")], "/api/v1/namespaces/ns/pods", True),
        ([("User", "alice")], "/api/v1/namespaces/ns/secrets", False),
        ([("User", "alice")], "/api/v1/namespaces/ns/pods/p", False),
        ([("User", "alice"), ("Group", "system:masters")], "/api/v1/namespaces/ns/pods", False),
        ([("User", "bob")], "/api/v1/namespaces/ns/pods", False),
        ([("User", "system:serviceaccount:ns:sa")], "/api/v1/namespaces/ns/pods", True),
        ([("User", "system:serviceaccount:ns:sa"), ("Group", "devs")], "/api/v1/namespaces/ns/pods", False),
        ([("User", "system:node:n2")], "/api/v1/namespaces/ns/pods", True),
        ([("User", "system:node:n3")], "/api/v1/namespaces/ns/pods", False),
        ([("User", "system:node:n2"), ("Group", "system:nodes")], "/api/v1/namespaces/ns/pods", False),
    ],
)
async def test_constrained_verbs_allow_one_request_of_one_user(headers, path, allowed):
    """Both must be granted: being the other, and doing this as the other."""
    granted = policy(*CONSTRAINED)
    if allowed:
        assert (await act(JANE, granted, *headers, path=path)).name == headers[0][1]
    else:
        with pytest.raises(Forbidden):
            await act(JANE, granted, *headers, path=path)


async def test_account_may_be_the_node_that_it_runs_on():
    """The right is to whichever node the account's pod is on, and to no other."""
    granted = policy(
        rule("impersonate:associated-node", "nodes", AUTHENTICATION, names=("*",)),
        rule("impersonate-on:associated-node:list", "pods"),
        who=AGENT.name,
    )
    assert (await act(AGENT, granted, ("User", "system:node:n1"))).groups == ("system:nodes", "system:authenticated")
    with pytest.raises(Forbidden):
        await act(AGENT, granted, ("User", "system:node:n2"))
    with pytest.raises(Forbidden):
        await act(account("ns", "agent"), granted, ("User", "system:node:n1"))


async def test_refusal_names_the_first_verb_that_was_missing():
    """The first mode that applies says what it wanted."""
    with pytest.raises(Forbidden) as caught:
        await act(JANE, policy(), ("User", "alice"))
    assert str(caught.value) == (
        'pods is forbidden: User "jane" cannot impersonate-on:user-info:list resource "pods" in API group "" in the '
        'namespace "ns"'
    )


def test_what_goes_on_to_others_names_nobody():
    """Neither credentials nor the wish to be somebody else leave the server."""
    headers = Headers([("Impersonate-User", "a"), ("impersonate-extra-x", "b"), ("Authorization", "c"), ("X", "d")])
    assert list(without_credentials(headers).items()) == [("X", "d")]
