"""Who may do what in a cluster as it begins: one row a fact of upstream's policy, none of them twice.

The facts are those of upstream's `rbac/bootstrappolicy` (policy, controller and namespace policy), `authorizer/node` and `authorizer/rbac`.
A request is written as one says it: `get pods/log in web name a`, `create deployments.apps in web`, `get /healthz`.
"""

from dataclasses import dataclass

import pytest

from pinnace.api.core_v1 import Pod, PodSpec, SecretVolumeSource, Volume
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from pinnace.apiserver.authorization import Attributes, Decision
from pinnace.component.http import UserInfo
from pinnace.machinery.selectors import parse_fields
from support.authorization import ANONYMOUS, Policy, account, node, path, resource, user

MAY, MAY_NOT = True, False


@dataclass(frozen=True)
class Row:
    """A fact, and a request that shows it."""

    fact: str
    who: UserInfo
    asks: str
    allowed: bool


def parse(who: UserInfo, text: str) -> Attributes:
    """Read a request as it is written in the table."""
    verb, what, *rest = text.split()
    if what.startswith("/"):
        return path(who, what, verb)
    words = dict(zip(rest[::2], rest[1::2], strict=True))
    plural, _, subresource = what.partition("/")
    plural, _, group = plural.partition(".")
    return resource(
        who,
        verb,
        f"{plural}/{subresource}" if subresource else plural,
        group,
        namespace=words.get("in", ""),
        name=words.get("name", ""),
        fields=parse_fields(words.get("where", "")),
    )


def controller(name: str) -> UserInfo:
    return account("kube-system", name)


ROOT = UserInfo("root", groups=("system:masters",))
BOSS, ALICE, EDDY, VERA, JANE, NORA, ONE = (
    user(name) for name in ("boss", "alice", "eddy", "vera", "jane", "nora", "one")
)
APP, PROMETHEUS, N1 = account("web", "app"), user("prometheus", "system:monitoring"), node("n1")
SCHEDULER, MANAGER, PROXY = (user(f"system:kube-{name}") for name in ("scheduler", "controller-manager", "proxy"))
JOINER = UserInfo("system:bootstrap:abcdef", groups=("system:bootstrappers", "system:authenticated"))
DELEGATE, PROVISIONER, KUBELETS = user("delegate"), user("provisioner"), user("kubelets")


def bind(role: str, who: str, namespace: str = "", kind: str = "ClusterRole", subject: str = "User"):
    """Grant a role."""
    meta = ObjectMeta(name=f"{who}-{role}", namespace=namespace)
    subjects = (Subject(kind=subject, name=who),)
    ref = RoleRef(kind=kind, name=role)
    made = RoleBinding if namespace else ClusterRoleBinding
    return made(metadata=meta, subjects=subjects, role_ref=ref)


def grant(*verbs: str, groups=("",), resources=(), names=(), paths=()):
    return PolicyRule(
        verbs=verbs,
        api_groups=() if paths else groups,
        resources=resources,
        resource_names=names,
        non_resource_urls=paths,
    )


OBJECTS = (
    bind("cluster-admin", "boss"),
    bind("admin", "alice", "web"),
    bind("edit", "eddy", "web"),
    bind("view", "vera", "web"),
    bind("system:auth-delegator", "delegate"),
    bind("system:persistent-volume-provisioner", "provisioner"),
    bind("system:kubelet-api-admin", "kubelets"),
    bind("system:node-bootstrapper", "system:bootstrappers", subject="Group"),
    bind("names", "nora", "web", kind="Role"),
    Role(
        metadata=ObjectMeta(name="names", namespace="web"),
        rules=(
            grant("*", resources=("configmaps",), names=("a", "b")),
            grant("get", resources=("*/log",)),
            grant("create", resources=("pods/*",)),
            grant("list", groups=("*",), resources=("jobs",)),
        ),
    ),
    bind("paths", "one"),
    ClusterRole(
        metadata=ObjectMeta(name="paths"),
        rules=(grant("get", paths=("/logs/*", "/debug", "/stars/**")), grant("get", resources=("nodes",))),
    ),
    bind("everywhere", "system:serviceaccounts:web", subject="Group"),
    ClusterRole(metadata=ObjectMeta(name="everywhere"), rules=(grant("list", resources=("nodes",)),)),
    Pod(
        metadata=ObjectMeta(name="p", namespace="web"),
        spec=PodSpec(
            node_name="n1",
            service_account_name="app",
            volumes=(Volume(name="v", secret=SecretVolumeSource(secret_name="key")),),
        ),
    ),
    Pod(metadata=ObjectMeta(name="q", namespace="web"), spec=PodSpec(node_name="n2", service_account_name="other")),
)

TABLE: tuple[tuple[UserInfo | None, tuple[tuple[str, str, bool], ...]], ...] = (
    (
        ROOT,
        (
            ("masters need no role for objects", "delete nodes name n", MAY),
            ("masters need no role for paths", "post /anything", MAY),
            ("masters need no role for verbs of their own", "escalate roles.rbac.authorization.k8s.io", MAY),
        ),
    ),
    (
        BOSS,
        (
            ("cluster-admin: every verb on every resource", "frobnicate widgets.example.com in x name y", MAY),
            ("cluster-admin: every verb on every path", "put /x", MAY),
            ("cluster-admin may impersonate", "impersonate users name root", MAY),
        ),
    ),
    (
        ALICE,
        (
            ("admin: writes roles in its namespace", "create roles.rbac.authorization.k8s.io in web", MAY),
            ("admin: writes bindings in its namespace", "delete rolebindings.rbac.authorization.k8s.io in web", MAY),
            ("admin: is no admin elsewhere", "create roles.rbac.authorization.k8s.io in other", MAY_NOT),
            (
                "admin: asks what others may do there",
                "create localsubjectaccessreviews.authorization.k8s.io in web",
                MAY,
            ),
            ("admin: includes edit", "patch deployments.apps in web", MAY),
            ("admin: includes view", "get resourcequotas in web", MAY),
            ("admin: does not write quotas", "update resourcequotas in web", MAY_NOT),
            ("admin: does not write limits", "create limitranges in web", MAY_NOT),
            ("admin: does not write its namespace", "delete namespaces in web name web", MAY_NOT),
            ("admin: sees its namespace", "get namespaces in web name web", MAY),
            ("admin: has no cluster roles", "create clusterroles.rbac.authorization.k8s.io", MAY_NOT),
            ("admin: may not escalate", "escalate roles.rbac.authorization.k8s.io in web", MAY_NOT),
            ("admin: may not bind beyond its rights", "bind clusterroles.rbac.authorization.k8s.io in web", MAY_NOT),
            ("admin: does not see nodes", "list nodes", MAY_NOT),
        ),
    ),
    (
        EDDY,
        (
            ("edit: writes pods", "create pods in web", MAY),
            ("edit: deletes pods together", "deletecollection pods in web", MAY),
            ("edit: runs commands in pods", "create pods/exec in web name p", MAY),
            ("edit: attaches to pods", "get pods/attach in web name p", MAY),
            ("edit: forwards ports", "create pods/portforward in web name p", MAY),
            ("edit: proxies to pods", "update pods/proxy in web name p", MAY),
            ("edit: evicts pods", "create pods/eviction in web name p", MAY),
            ("edit: does not write pods' status", "update pods/status in web name p", MAY_NOT),
            ("edit: does not bind pods", "create pods/binding in web name p", MAY_NOT),
            ("edit: reads secrets", "list secrets in web", MAY),
            ("edit: writes secrets", "create secrets in web", MAY),
            ("edit: writes config maps", "update configmaps in web name a", MAY),
            ("edit: writes services", "patch services in web name a", MAY),
            ("edit: does not write endpoints", "update endpoints in web name a", MAY_NOT),
            ("edit: writes claims", "delete persistentvolumeclaims in web name a", MAY),
            ("edit: asks tokens for accounts", "create serviceaccounts/token in web name app", MAY),
            ("edit: impersonates accounts of its namespace", "impersonate serviceaccounts in web name app", MAY),
            ("edit: impersonates no users", "impersonate users name root", MAY_NOT),
            ("edit: scales", "patch replicasets.apps/scale in web name r", MAY),
            ("edit: writes cron jobs", "create cronjobs.batch in web", MAY),
            ("edit: writes autoscalers", "update horizontalpodautoscalers.autoscaling in web name h", MAY),
            ("edit: writes budgets", "delete poddisruptionbudgets.policy in web name b", MAY),
            ("edit: writes ingresses", "create ingresses.networking.k8s.io in web", MAY),
            ("edit: writes network policies", "create networkpolicies.networking.k8s.io in web", MAY),
            ("edit: writes leases", "update leases.coordination.k8s.io in web name l", MAY),
            ("edit: writes resource claims", "create resourceclaims.resource.k8s.io in web", MAY),
            ("edit: writes events", "create events in web", MAY),
            ("edit: writes no roles", "create roles.rbac.authorization.k8s.io in web", MAY_NOT),
            ("edit: reads no roles", "get roles.rbac.authorization.k8s.io in web name r", MAY_NOT),
            ("edit: holds in one namespace", "create pods in kube-system", MAY_NOT),
            ("edit: does not list over all namespaces", "list pods", MAY_NOT),
        ),
    ),
    (
        VERA,
        (
            ("view: reads pods", "list pods in web", MAY),
            ("view: reads logs", "get pods/log in web name p", MAY),
            ("view: reads no secrets", "get secrets in web name key", MAY_NOT),
            ("view: watches deployments", "watch deployments.apps in web", MAY),
            ("view: reads endpoint slices", "list endpointslices.discovery.k8s.io in web", MAY),
            ("view: reads jobs' status", "get jobs.batch/status in web name j", MAY),
            ("view: reads claims' status", "get persistentvolumeclaims/status in web name c", MAY),
            ("view: reads accounts", "get serviceaccounts in web name app", MAY),
            ("view: reads resource claims", "get resourceclaims.resource.k8s.io in web name c", MAY),
            ("view: runs no commands", "create pods/exec in web name p", MAY_NOT),
            ("view: does not attach by get either", "get pods/attach in web name p", MAY_NOT),
            ("view: writes nothing", "patch pods in web name p", MAY_NOT),
            ("view: reads no leases", "get leases.coordination.k8s.io in web name l", MAY_NOT),
            ("view: proxies nowhere", "get services/proxy in web name s", MAY_NOT),
        ),
    ),
    (
        JANE,
        (
            ("discovery: authenticated users see the API's groups", "get /apis", MAY),
            ("discovery: and what is below", "get /apis/apps/v1", MAY),
            ("discovery: the core group", "get /api/v1", MAY),
            ("discovery: OpenAPI", "get /openapi/v3", MAY),
            ("discovery: by get only", "post /api", MAY_NOT),
            ("discovery: not the root", "get /", MAY_NOT),
            ("public-info: health", "get /readyz", MAY),
            ("public-info: not a single check", "get /livez/etcd", MAY_NOT),
            ("monitoring is not for everybody", "get /metrics", MAY_NOT),
            ("profiling is for nobody in particular", "get /debug/pprof", MAY_NOT),
            ("basic-user: asks about herself", "create selfsubjectaccessreviews.authorization.k8s.io", MAY),
            ("basic-user: lists what she may do", "create selfsubjectrulesreviews.authorization.k8s.io", MAY),
            ("basic-user: asks who she is", "create selfsubjectreviews.authentication.k8s.io", MAY),
            ("basic-user: does not ask about others", "create subjectaccessreviews.authorization.k8s.io", MAY_NOT),
            ("basic-user: reviews no tokens", "create tokenreviews.authentication.k8s.io", MAY_NOT),
            ("a user without roles reads no pods", "get pods in default name p", MAY_NOT),
            ("a user without roles makes no namespaces", "create namespaces", MAY_NOT),
            ("the issuer's keys are for service accounts", "get /openid/v1/jwks", MAY_NOT),
        ),
    ),
    (
        ANONYMOUS,
        (
            ("anonymous: /healthz", "get /healthz", MAY),
            ("anonymous: /livez", "get /livez", MAY),
            ("anonymous: /readyz", "get /readyz", MAY),
            ("anonymous: /version", "get /version", MAY),
            ("anonymous: /version/ with a slash", "get /version/", MAY),
            ("anonymous: no version below", "get /version/x", MAY_NOT),
            ("anonymous: no discovery", "get /api", MAY_NOT),
            ("anonymous: no OpenAPI", "get /openapi/v2", MAY_NOT),
            ("anonymous: no metrics", "get /metrics", MAY_NOT),
            ("anonymous: no OpenID configuration", "get /.well-known/openid-configuration", MAY_NOT),
            ("anonymous: no reviews", "create selfsubjectreviews.authentication.k8s.io", MAY_NOT),
            ("anonymous: no reads", "list namespaces", MAY_NOT),
            ("anonymous: health is not written", "post /healthz", MAY_NOT),
        ),
    ),
    (
        APP,
        (
            ("issuer-discovery: accounts see the configuration", "get /.well-known/openid-configuration", MAY),
            ("issuer-discovery: accounts see the keys", "get /openid/v1/jwks", MAY),
            ("issuer-discovery: also with a slash", "get /openid/v1/jwks/", MAY),
            ("an account is authenticated", "get /api/v1/namespaces", MAY),
            ("an account has no rights in its namespace", "get pods in web name p", MAY_NOT),
            ("an account reads not even itself", "get serviceaccounts in web name app", MAY_NOT),
            ("an account's namespace is a group", "list nodes", MAY),
        ),
    ),
    (
        PROMETHEUS,
        (
            ("monitoring: metrics", "get /metrics", MAY),
            ("monitoring: level indicators", "get /metrics/slis", MAY),
            ("monitoring: single checks", "get /readyz/etcd", MAY),
            ("monitoring: statusz", "get /statusz", MAY),
            ("monitoring: flagz", "get /flagz", MAY),
            ("monitoring: no other metrics", "get /metrics/cadvisor", MAY_NOT),
            ("monitoring: reads no objects", "list nodes", MAY_NOT),
        ),
    ),
    (
        SCHEDULER,
        (
            ("scheduler: binds", "create pods/binding in web name p", MAY),
            ("scheduler: makes no pods", "create pods in web", MAY_NOT),
            ("scheduler: deletes victims", "delete pods in web name p", MAY),
            ("scheduler: writes pods' status", "patch pods/status in web name p", MAY),
            ("scheduler: reads nodes", "watch nodes", MAY),
            ("scheduler: writes no nodes", "patch nodes name n", MAY_NOT),
            (
                "scheduler: has its own lease",
                "update leases.coordination.k8s.io in kube-system name kube-scheduler",
                MAY,
            ),
            (
                "leader-locking-kube-scheduler: any lease of kube-system",
                "update leases.coordination.k8s.io in kube-system name x",
                MAY,
            ),
            ("scheduler: no other lease", "update leases.coordination.k8s.io in web name x", MAY_NOT),
            ("scheduler: makes leases", "create leases.coordination.k8s.io in web", MAY),
            ("volume-scheduler: binds volumes", "update persistentvolumes name v", MAY),
            ("volume-scheduler: reads classes", "list storageclasses.storage.k8s.io", MAY),
            ("scheduler: reads no secrets", "get secrets in web name key", MAY_NOT),
            ("scheduler: tells events", "create events.events.k8s.io in web", MAY),
            ("scheduler: allocates devices", "update resourceclaims.resource.k8s.io/status in web name c", MAY),
            (
                "authentication-reader: how clients are known",
                "get configmaps in kube-system name extension-apiserver-authentication",
                MAY,
            ),
            ("authentication-reader: no other map", "get configmaps in kube-system name x", MAY_NOT),
        ),
    ),
    (
        MANAGER,
        (
            ("controller-manager: lists whatever there is", "list widgets.example.com", MAY),
            ("controller-manager: watches secrets", "watch secrets", MAY),
            ("controller-manager: makes accounts", "create serviceaccounts in web", MAY),
            ("controller-manager: makes tokens", "create serviceaccounts/token in web name app", MAY),
            ("controller-manager: makes no pods", "create pods in web", MAY_NOT),
            ("controller-manager: deletes no pods", "delete pods in web name p", MAY_NOT),
            ("controller-manager: deletes secrets", "delete secrets in web name key", MAY),
            ("controller-manager: writes no roles", "update clusterroles.rbac.authorization.k8s.io name x", MAY_NOT),
            ("controller-manager: reviews tokens", "create tokenreviews.authentication.k8s.io", MAY),
        ),
    ),
    (
        PROXY,
        (
            ("node-proxier: watches slices", "watch endpointslices.discovery.k8s.io", MAY),
            ("node-proxier: watches services", "watch services", MAY),
            ("node-proxier: reads nodes", "get nodes name n", MAY),
            ("node-proxier: service ranges", "list servicecidrs.networking.k8s.io", MAY),
            ("node-proxier: writes no services", "update services in web name s", MAY_NOT),
            ("node-proxier: reads no pods", "list pods", MAY_NOT),
        ),
    ),
    (
        None,
        (
            ("replicaset-controller", "create pods in web", MAY),
            ("replicaset-controller", "update replicasets.apps/status in web name r", MAY),
            ("replicaset-controller", "patch replicasets.apps/status in web name r", MAY_NOT),
            ("replicaset-controller", "get secrets in web name key", MAY_NOT),
            ("deployment-controller", "create replicasets.apps in web", MAY),
            ("deployment-controller", "create pods in web", MAY_NOT),
            ("daemon-set-controller", "create controllerrevisions.apps in web", MAY),
            ("statefulset-controller", "create persistentvolumeclaims in web", MAY),
            ("statefulset-controller", "delete persistentvolumes name v", MAY_NOT),
            ("job-controller", "patch jobs.batch in web name j", MAY),
            ("cronjob-controller", "create jobs.batch in web", MAY),
            ("endpointslice-controller", "create endpointslices.discovery.k8s.io in web", MAY),
            ("endpointslice-controller", "create endpoints in web", MAY_NOT),
            ("endpoint-controller", "create endpoints/restricted in web", MAY),
            ("namespace-controller", "update namespaces/finalize name web", MAY),
            ("namespace-controller", "deletecollection widgets.example.com in web", MAY),
            ("namespace-controller", "create pods in web", MAY_NOT),
            ("generic-garbage-collector", "delete widgets.example.com in web name w", MAY),
            ("generic-garbage-collector", "create pods in web", MAY_NOT),
            ("node-controller", "patch nodes name n", MAY),
            ("node-controller", "delete pods in web name p", MAY),
            ("clusterrole-aggregation-controller", "escalate clusterroles.rbac.authorization.k8s.io name view", MAY),
            ("clusterrole-aggregation-controller", "update roles.rbac.authorization.k8s.io in web name r", MAY_NOT),
            ("certificate-controller", "sign signers.certificates.k8s.io name kubernetes.io/kubelet-serving", MAY),
            ("certificate-controller", "sign signers.certificates.k8s.io name example.com/mine", MAY_NOT),
            (
                "certificate-controller",
                "approve signers.certificates.k8s.io name kubernetes.io/kube-apiserver-client",
                MAY_NOT,
            ),
            ("horizontal-pod-autoscaler", "update widgets.example.com/scale in web name w", MAY),
            ("horizontal-pod-autoscaler", "update deployments.apps in web name d", MAY_NOT),
            ("disruption-controller", "get statefulsets.apps/scale in web name s", MAY),
            ("root-ca-cert-publisher", "create configmaps in web", MAY),
            ("root-ca-cert-publisher", "patch configmaps in web name kube-root-ca.crt", MAY_NOT),
            ("service-account-controller", "create serviceaccounts in web", MAY),
            ("service-account-controller", "delete serviceaccounts in web name app", MAY_NOT),
            ("resourcequota-controller", "update resourcequotas/status in web name q", MAY),
            ("pvc-protection-controller", "update persistentvolumeclaims in web name c", MAY),
            ("persistent-volume-binder", "create persistentvolumes", MAY),
            ("token-cleaner", "delete secrets in kube-system name s", MAY),
            ("token-cleaner", "delete secrets in web name s", MAY_NOT),
            ("bootstrap-signer", "update configmaps in kube-public name cluster-info", MAY),
            ("bootstrap-signer", "update configmaps in kube-public name x", MAY_NOT),
            ("kube-dns", "watch services", MAY),
            ("kube-dns", "watch pods", MAY_NOT),
        ),
    ),
    (
        N1,
        (
            ("node: registers itself", "create nodes", MAY),
            ("node: reads itself", "get nodes name n1", MAY),
            ("node: reads no other node", "get nodes name n2", MAY_NOT),
            ("node: does not list nodes", "list nodes", MAY_NOT),
            ("node: watches itself by name", "watch nodes name n1 where metadata.name=n1", MAY),
            ("node: does not delete itself", "delete nodes name n1", MAY_NOT),
            ("node: reports its status", "patch nodes/status name n1", MAY),
            ("node: watches the pods bound to it", "watch pods where spec.nodeName=n1", MAY),
            ("node: no other node's pods", "watch pods where spec.nodeName=n2", MAY_NOT),
            ("node: not all but its own pods either", "list pods where spec.nodeName!=n2", MAY_NOT),
            ("node: gets a pod on it", "get pods in web name p", MAY),
            ("node: gets no pod of another", "get pods in web name q", MAY_NOT),
            ("node: runs no commands by the API", "create pods/exec in web name p", MAY_NOT),
            ("node: the secret of its pod", "get secrets in web name key", MAY),
            ("node: no other secret", "get secrets in web name other", MAY_NOT),
            ("node: lists no secrets", "list secrets in web", MAY_NOT),
            ("node: writes no secrets", "update secrets in web name key", MAY_NOT),
            ("node: a token for its pod's account", "create serviceaccounts/token in web name app", MAY),
            ("node: no token for another pod's account", "create serviceaccounts/token in web name other", MAY_NOT),
            ("node: its own lease", "update leases.coordination.k8s.io in kube-node-lease name n1", MAY),
            ("node: no other's lease", "update leases.coordination.k8s.io in kube-node-lease name n2", MAY_NOT),
            ("node: its CSI record", "get csinodes.storage.k8s.io name n1", MAY),
            ("node: asks for certificates", "create certificatesigningrequests.certificates.k8s.io", MAY),
            ("node: approves none", "update certificatesigningrequests.certificates.k8s.io/approval name c", MAY_NOT),
            ("node: reviews its callers' tokens", "create tokenreviews.authentication.k8s.io", MAY),
            ("node: and their access", "create subjectaccessreviews.authorization.k8s.io", MAY),
            ("node: watches services", "watch services", MAY),
            ("node: writes no services", "create services in web", MAY_NOT),
            ("node: tells events", "create events in web", MAY),
            ("node: lists no namespaces", "list namespaces", MAY_NOT),
        ),
    ),
    (
        JOINER,
        (
            ("node-bootstrapper: asks for a certificate", "create certificatesigningrequests.certificates.k8s.io", MAY),
            ("node-bootstrapper: watches for it", "watch certificatesigningrequests.certificates.k8s.io", MAY),
            ("node-bootstrapper: makes no node", "create nodes", MAY_NOT),
            ("node-bootstrapper: reads no secrets", "get secrets in kube-system name s", MAY_NOT),
        ),
    ),
    (
        DELEGATE,
        (
            ("auth-delegator: reviews tokens", "create tokenreviews.authentication.k8s.io", MAY),
            ("auth-delegator: reviews access", "create subjectaccessreviews.authorization.k8s.io", MAY),
            ("auth-delegator: issues no tokens", "create serviceaccounts/token in web name app", MAY_NOT),
        ),
    ),
    (
        PROVISIONER,
        (
            ("volume-provisioner: makes volumes", "create persistentvolumes", MAY),
            ("volume-provisioner: updates claims", "update persistentvolumeclaims in web name c", MAY),
            ("volume-provisioner: deletes no claims", "delete persistentvolumeclaims in web name c", MAY_NOT),
        ),
    ),
    (
        KUBELETS,
        (
            ("kubelet-api-admin: every verb on nodes' proxy", "patch nodes/proxy name n", MAY),
            ("kubelet-api-admin: nodes' metrics", "get nodes/metrics name n", MAY),
            ("kubelet-api-admin: deletes no nodes", "delete nodes name n", MAY_NOT),
        ),
    ),
    (
        NORA,
        (
            ("names: a named object", "get configmaps in web name a", MAY),
            ("names: another one of the list", "delete configmaps in web name b", MAY),
            ("names: no other object", "get configmaps in web name c", MAY_NOT),
            ("names: a create has no name yet", "create configmaps in web", MAY_NOT),
            ("names: nor has a deletecollection", "deletecollection configmaps in web", MAY_NOT),
            ("names: a list of all is more than the names", "list configmaps in web", MAY_NOT),
            ("names: a list of one by its name", "list configmaps in web name a where metadata.name=a", MAY),
            ("subresources: of any resource", "get widgets/log in web name w", MAY),
            ("subresources: there is no star behind a slash", "create pods/exec in web name p", MAY_NOT),
            ("groups: of any name", "list jobs.example.com in web", MAY),
        ),
    ),
    (
        ONE,
        (
            ("paths: everything that begins so", "get /logs/a/b", MAY),
            ("paths: the star stands for something", "get /logs", MAY_NOT),
            ("paths: several stars are one", "get /stars/a", MAY),
            ("paths: whole otherwise", "get /debug/x", MAY_NOT),
            ("paths: are no resources", "get logs", MAY_NOT),
            ("a cluster role bound everywhere", "get nodes name n", MAY),
            ("a verb alone does not give another", "list nodes", MAY_NOT),
        ),
    ),
)


def rows():
    """The table's rows; a controller's say who it is and are facts by what they ask."""
    for who, listed in TABLE:
        for fact, asks, allowed in listed:
            if who is None:
                yield Row(f"{fact}: {asks}", controller(fact), asks, allowed)
            else:
                yield Row(fact, who, asks, allowed)


ROWS = tuple(rows())


@pytest.fixture(scope="module")
def policy():
    """A cluster's policy, with a few users of its own."""
    return Policy(*OBJECTS)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.fact) for row in ROWS])
async def test_who_may_do_what(policy, row):
    """The request of the row is allowed, or it is not."""
    verdict = await policy.authorizer.authorize(parse(row.who, row.asks))
    assert (verdict.decision is Decision.ALLOWED) is row.allowed, verdict.reason


def test_no_two_rows_are_alike():
    """Each row has a fact and a request of its own, and there are enough of them."""
    assert len(ROWS) >= 150
    assert len({row.fact for row in ROWS}) == len(ROWS)
    assert len({(row.who.name, row.asks) for row in ROWS}) == len(ROWS)
