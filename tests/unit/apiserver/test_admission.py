import random

import pytest
from msgspec.structs import replace

from pinnace.api.authentication_v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from pinnace.api.coordination_v1 import Lease
from pinnace.api.core_v1 import (
    ConfigMap,
    Container,
    EmptyDirVolumeSource,
    LimitRange,
    LimitRangeItem,
    LimitRangeSpec,
    LocalObjectReference,
    Namespace,
    NamespaceStatus,
    Node,
    NodeSpec,
    Pod,
    PodSpec,
    ProjectedVolumeSource,
    ResourceRequirements,
    ServiceAccount,
    ServiceAccountTokenProjection,
    Taint,
    Toleration,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.scheduling_v1 import PriorityClass
from pinnace.apiserver.admission import CREATE, DELETE, UPDATE, AdmissionChain, Attributes, Plugin, default_plugins
from pinnace.component.http import UserInfo
from pinnace.component.identity import Identity
from pinnace.machinery.errors import ApiError, Forbidden

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
USER = UserInfo("jane")
NODE_USER = UserInfo("system:node:n1", groups=("system:nodes",))


class Objects:
    def __init__(self, *objects):
        self.objects = list(objects)

    async def get(self, cls, name, namespace=""):
        return next((one for one in await self.list(cls, namespace) if one.metadata.name == name), None)

    async def list(self, cls, namespace=""):
        return tuple(
            one for one in self.objects if type(one) is cls and (not namespace or one.metadata.namespace == namespace)
        )


def meta(name, namespace="ns", **fields):
    return ObjectMeta(name=name, namespace=namespace, **fields)


def base(*more):
    return Objects(
        Namespace(metadata=meta("ns", "")),
        ServiceAccount(metadata=meta("default"), image_pull_secrets=(LocalObjectReference(name="registry"),)),
        PriorityClass(metadata=meta("high", ""), value=1000, preemption_policy="Never"),
        *more,
    )


def chain(objects):
    return AdmissionChain(plugins(objects))


def plugins(objects, **options):
    return default_plugins(objects, Identity(random.Random(3)), None, None, **options)


def attributes(operation=CREATE, resource="pods", user=USER, **fields):
    return Attributes(user=user, operation=operation, resource=resource, **({"namespace": "ns"} | fields))


def pod(*containers, **spec):
    return Pod(metadata=meta("p"), spec=PodSpec(containers=containers or (Container(name="c"),), **spec))


async def admit(objects, obj, old=None, attrs=None):
    attrs = attrs or attributes()
    admission = chain(objects)
    obj = await admission.mutate(attrs, obj, old)
    await admission.validate(attrs, obj, old)
    return obj


async def refusal(objects, obj, old=None, attrs=None):
    with pytest.raises(ApiError) as refused:
        await admit(objects, obj, old, attrs)
    return refused.value


async def test_pod_gets_account_token_secrets_priority_and_tolerations():
    """A bare pod comes out as upstream's admission makes it."""
    spec = (await admit(base(), pod())).spec
    assert (spec.service_account_name, spec.service_account) == ("default", "default")
    (volume,) = spec.volumes
    assert volume.name.startswith("kube-api-access-")
    assert len(volume.name) == len("kube-api-access-") + 5
    token, authority, namespace = volume.projected.sources
    assert (token.service_account_token.path, token.service_account_token.expiration_seconds) == ("token", 3607)
    assert authority.config_map.name == "kube-root-ca.crt"
    assert namespace.downward_api.items[0].field_ref.field_path == "metadata.namespace"
    assert volume.projected.default_mode == 420
    assert spec.containers[0].volume_mounts == (VolumeMount(name=volume.name, read_only=True, mount_path=TOKEN_PATH),)
    assert spec.image_pull_secrets == (LocalObjectReference(name="registry"),)
    assert (spec.priority, spec.priority_class_name, spec.preemption_policy) == (0, "", "PreemptLowerPriority")
    assert [(one.key, one.operator, one.effect, one.toleration_seconds) for one in spec.tolerations] == [
        ("node.kubernetes.io/not-ready", "Exists", "NoExecute", 300),
        ("node.kubernetes.io/unreachable", "Exists", "NoExecute", 300),
    ]


async def test_admission_of_an_admitted_pod_changes_nothing():
    """The mutating pass is idempotent, as a retried write needs."""
    once = await admit(base(), pod(Container(name="a"), Container(name="b")))
    assert await chain(base()).mutate(attributes(), once, None) == once


@pytest.mark.parametrize(
    ("account", "own", "mounted"),
    [(None, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
async def test_token_is_mounted_as_pod_then_account_say(account, own, mounted):
    """The pod's word counts before its account's."""
    objects = base()
    objects.objects[1] = replace(objects.objects[1], automount_service_account_token=account)
    admitted = await admit(objects, pod(automount_service_account_token=own))
    assert bool(admitted.spec.volumes) is mounted


async def test_token_is_not_mounted_over_a_containers_own_mount():
    """A container that has something at the place keeps it, and no unused volume is added."""
    own = Container(name="c", volume_mounts=(VolumeMount(name="t", mount_path=TOKEN_PATH),))
    volumes = (Volume(name="t", empty_dir=EmptyDirVolumeSource()),)
    admitted = await admit(base(), pod(own, volumes=volumes))
    assert admitted.spec.volumes == volumes
    assert admitted.spec.containers == (own,)


async def test_pod_of_an_unknown_account_is_refused():
    """The text names the account, as controllers report it."""
    error = await refusal(base(), pod(service_account_name="robot"))
    assert error.message == (
        'pods "p" is forbidden: error looking up service account ns/robot: serviceaccount "robot" not found'
    )


async def test_pod_priority_comes_from_its_class():
    """The class gives the number and the preemption policy."""
    spec = (await admit(base(), pod(priority_class_name="high"))).spec
    assert (spec.priority, spec.preemption_policy) == (1000, "Never")


async def test_pod_priority_defaults_to_the_lowest_global_default():
    """A global default class is used and named."""
    classes = [
        PriorityClass(metadata=meta(name, ""), value=value, global_default=True) for name, value in (("b", 7), ("a", 5))
    ]
    spec = (await admit(base(*classes), pod())).spec
    assert (spec.priority, spec.priority_class_name) == (5, "a")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"priority_class_name": "none"}, "no PriorityClass with name none was found"),
        (
            {"priority": 5},
            (
                "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 "
                "from the given PriorityClass name"
            ),
        ),
    ],
)
async def test_pod_priority_refuses(spec, text):
    """Unknown classes and numbers of one's own are refused with upstream's text."""
    assert (await refusal(base(), pod(**spec))).message == f'pods "p" is forbidden: {text}'


async def test_second_global_default_class_is_refused():
    """Only one class can be the default."""
    first = PriorityClass(metadata=meta("a", ""), global_default=True)
    second = PriorityClass(metadata=meta("b", ""), global_default=True)
    error = await refusal(
        base(first), second, attrs=attributes(resource="priorityclasses", group="scheduling.k8s.io", namespace="")
    )
    assert "PriorityClass a is already marked as default" in error.message


async def test_system_priority_class_cannot_be_deleted():
    """The text is the recorded one."""
    attrs = attributes(DELETE, "priorityclasses", group="scheduling.k8s.io", namespace="", name="system-node-critical")
    assert (await refusal(base(), None, None, attrs)).message == (
        'priorityclasses.scheduling.k8s.io "system-node-critical" is forbidden: this is a system priority class and cannot '
        "be deleted"
    )


async def test_tolerations_that_cover_the_defaults_are_left_alone():
    """Neither a key's own toleration nor one for everything is doubled."""
    own = Toleration(key="node.kubernetes.io/not-ready", operator="Exists", effect="NoExecute", toleration_seconds=10)
    admitted = await admit(base(), pod(tolerations=(own,)))
    assert [one.key for one in admitted.spec.tolerations] == [own.key, "node.kubernetes.io/unreachable"]
    everything = (Toleration(operator="Exists"),)
    assert (await admit(base(), pod(tolerations=everything))).spec.tolerations == everything


async def test_nothing_is_created_in_a_terminating_namespace_but_updates_pass():
    """The 403 carries the cause that controllers look for."""
    objects = Objects(Namespace(metadata=meta("ns", ""), status=NamespaceStatus(phase="Terminating")))
    config = ConfigMap(metadata=meta("a"))
    status = (await refusal(objects, config, attrs=attributes(resource="configmaps"))).status()
    assert status["message"] == (
        'configmaps "a" is forbidden: unable to create new content in namespace ns because it is being terminated'
    )
    assert status["details"]["causes"] == [
        {"reason": "NamespaceTerminating", "message": "namespace ns is being terminated", "field": "metadata.namespace"}
    ]
    assert await admit(objects, config, config, attributes(UPDATE, "configmaps", name="a")) == config


async def test_creation_in_a_namespace_that_is_not_there_is_404():
    """The namespace is what is not found."""
    error = await refusal(Objects(), ConfigMap(metadata=meta("a")), attrs=attributes(resource="configmaps"))
    assert (error.code, error.message) == (404, 'namespaces "ns" not found')


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_immortal_namespaces_are_not_deleted(name):
    """Three namespaces stay."""
    error = await refusal(Objects(), None, None, attributes(DELETE, "namespaces", namespace=name, name=name))
    assert error.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


RANGE = LimitRange(
    metadata=meta("l"),
    spec=LimitRangeSpec(
        limits=(
            LimitRangeItem(
                type="Container",
                default={"cpu": "500m"},
                default_request={"cpu": "100m"},
                max={"cpu": "1"},
                min={"cpu": "50m"},
            ),
        )
    ),
)


async def test_limit_range_gives_defaults_and_says_so():
    """Requests and limits that are missing are filled in, with upstream's annotation."""
    admitted = await admit(base(RANGE), pod())
    assert admitted.spec.containers[0].resources == ResourceRequirements(
        requests={"cpu": "100m"}, limits={"cpu": "500m"}
    )
    assert admitted.metadata.annotations == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    }


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        (
            ResourceRequirements(limits={"cpu": "2"}, requests={"cpu": "1"}),
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            ResourceRequirements(requests={"cpu": "10m"}, limits={"cpu": "1"}),
            "minimum cpu usage per Container is 50m, but request is 10m",
        ),
        (
            ResourceRequirements(requests={"cpu": "10m"}, limits={"cpu": "2"}),
            "[minimum cpu usage per Container is 50m, but request is 10m, maximum cpu usage per Container is 1, but limit is 2]",
        ),
    ],
)
async def test_limit_range_bounds_containers(resources, text):
    """What is out of bounds is refused, several faults in one list."""
    error = await refusal(base(RANGE), pod(Container(name="c", resources=resources)))
    assert error.message == f'pods "p" is forbidden: {text}'


async def test_limit_range_bounds_the_pod_as_a_whole():
    """A range of type Pod counts the containers together."""
    whole = LimitRange(
        metadata=meta("l"), spec=LimitRangeSpec(limits=(LimitRangeItem(type="Pod", max={"memory": "1Gi"}),))
    )
    half = ResourceRequirements(limits={"memory": "600Mi"})
    error = await refusal(base(whole), pod(Container(name="a", resources=half), Container(name="b", resources=half)))
    assert error.message == 'pods "p" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 1200Mi'


async def test_new_node_is_tainted_until_it_is_ready():
    """A node comes without pods until its controller has seen it ready; the taint is not doubled."""
    attrs = attributes(resource="nodes", namespace="", user=NODE_USER)
    tainted = await admit(Objects(), Node(metadata=meta("n1", "")), attrs=attrs)
    assert tainted.spec.taints == (Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule"),)
    assert await admit(Objects(), tainted, attrs=attrs) == tainted


TOKEN = VolumeProjection(service_account_token=ServiceAccountTokenProjection(path="token"))
MY_POD = Pod(
    metadata=meta("mine", uid="u"),
    spec=PodSpec(
        node_name="n1",
        service_account_name="default",
        volumes=(Volume(name="token", projected=ProjectedVolumeSource(sources=(TOKEN,))),),
    ),
)
OTHER_POD = Pod(metadata=meta("other", uid="o"), spec=PodSpec(node_name="n2"))


def token_for(name, uid):
    reference = BoundObjectReference(kind="Pod", api_version="v1", name=name, uid=uid)
    return TokenRequest(spec=TokenRequestSpec(bound_object_ref=reference))


def node_write(operation, resource, name="", **fields):
    return attributes(operation, resource, NODE_USER, name=name, **fields)


@pytest.mark.parametrize(
    ("attrs", "obj", "old", "allowed"),
    [
        (node_write(UPDATE, "pods", "mine", subresource="status"), MY_POD, MY_POD, True),
        (node_write(UPDATE, "pods", "other", subresource="status"), OTHER_POD, OTHER_POD, False),
        (node_write(DELETE, "pods", "other"), None, OTHER_POD, False),
        (node_write(CREATE, "pods"), pod(), None, False),
        (node_write(CREATE, "serviceaccounts", "default", subresource="token"), token_for("mine", "u"), None, True),
        (node_write(CREATE, "serviceaccounts", "default", subresource="token"), token_for("mine", "x"), None, False),
        (node_write(CREATE, "serviceaccounts", "default", subresource="token"), token_for("other", "o"), None, False),
        (node_write(CREATE, "serviceaccounts", "default", subresource="token"), TokenRequest(), None, False),
        (node_write(CREATE, "nodes", namespace=""), Node(metadata=meta("n2", "")), None, False),
        (
            node_write(UPDATE, "nodes", "n1", namespace=""),
            Node(metadata=meta("n1", ""), spec=NodeSpec(taints=())),
            Node(metadata=meta("n1", ""), spec=NodeSpec(taints=(Taint(key="a", effect="NoSchedule"),))),
            False,
        ),
        (
            node_write(CREATE, "nodes", namespace=""),
            Node(metadata=meta("n1", "", labels={"x.node-restriction.kubernetes.io/a": "b"})),
            None,
            False,
        ),
        (
            node_write(CREATE, "leases", group="coordination.k8s.io", namespace="kube-node-lease"),
            Lease(metadata=meta("n1")),
            None,
            True,
        ),
        (
            node_write(CREATE, "leases", group="coordination.k8s.io", namespace="kube-node-lease"),
            Lease(metadata=meta("n2")),
            None,
            False,
        ),
        (
            node_write(CREATE, "leases", group="coordination.k8s.io", namespace="kube-system"),
            Lease(metadata=meta("n1")),
            None,
            False,
        ),
    ],
)
async def test_node_writes_its_own_objects_only(attrs, obj, old, allowed):
    """A node's identity cannot touch another node, its pods, its lease, or tokens of its pods."""
    objects = base(
        MY_POD, OTHER_POD, *(Namespace(metadata=meta(name, "")) for name in ("kube-system", "kube-node-lease"))
    )
    if allowed:
        await admit(objects, obj, old, attrs)
    else:
        assert isinstance(await refusal(objects, obj, old, attrs), Forbidden)


async def test_functions_of_a_users_own_run_behind_the_built_in_ones():
    """An added plug-in sees what the others made, may change it, and may refuse."""

    class Labels(Plugin):
        async def mutate(self, attributes, obj, old):
            assert obj.spec.priority == 0
            return replace(obj, metadata=replace(obj.metadata, labels={"seen": "yes"}))

        async def validate(self, attributes, obj, old):
            if obj.metadata.labels:
                raise attributes.refuse("no labels here", name=obj.metadata.name)

    admission = AdmissionChain(plugins(base(), further=(Labels(),)))
    admitted = await admission.mutate(attributes(), pod(), None)
    assert admitted.metadata.labels == {"seen": "yes"}
    with pytest.raises(Forbidden, match='pods "p" is forbidden: no labels here'):
        await admission.validate(attributes(), admitted, None)
