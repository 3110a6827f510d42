"""Pods: defaults, what is refused in which words, what may change, how a row reads."""

import pytest
from msgspec.structs import replace

from pinnace.api import core_v1 as v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.registry.core import pod_defaults, pod_resources, pod_table
from pinnace.apiserver.registry.core.image_reference import default_pull_policy
from pinnace.apiserver.registry.core.pod import STRATEGY
from pinnace.apiserver.registry.core.pod_warnings import pod_warnings

DAY = 86400.0


def make_pod(*containers, **spec):
    containers = containers or (v1.Container(name="c", image="example.com/app:1"),)
    meta = ObjectMeta(name="p", namespace="ns", uid="u", creation_timestamp="1970-01-02T00:00:00Z")
    return pod_defaults.pod(v1.Pod(metadata=meta, spec=v1.PodSpec(containers=tuple(containers), **spec)))


def complaints(pod):
    return [str(error) for error in STRATEGY.validate(pod)]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        pytest.param("example.com/app", "Always", id="no tag"),
        pytest.param("example.com/app:latest", "Always", id="latest"),
        pytest.param("example.com/app:v2", "IfNotPresent", id="tag"),
        pytest.param("example.com/app@sha256:" + "a" * 64, "IfNotPresent", id="digest"),
        pytest.param("example.com:5000/app", "Always", id="port is no tag"),
    ],
)
def test_pull_policy_follows_the_image(image, policy):
    """An image whose tag moves is always pulled."""
    assert default_pull_policy(image) == policy


def test_pod_defaults_are_filled_in_once():
    """Defaulting gives what the API promises, and a second time changes nothing."""
    pod = make_pod()
    spec = pod.spec
    assert (spec.restart_policy, spec.dns_policy, spec.scheduler_name) == (
        "Always",
        "ClusterFirst",
        "default-scheduler",
    )
    assert spec.termination_grace_period_seconds == 30
    assert spec.enable_service_links is True
    assert spec.security_context == v1.PodSecurityContext()
    assert spec.containers[0].image_pull_policy == "IfNotPresent"
    assert pod_defaults.pod(pod) is pod


def test_probe_and_volume_defaults():
    """Probes get timings, scheme and path; a volume without a source is an emptyDir."""
    probe = v1.Probe(http_get=v1.HTTPGetAction(port=80))
    pod = make_pod(
        v1.Container(name="c", image="i", liveness_probe=probe),
        volumes=(v1.Volume(name="v"), v1.Volume(name="s", secret=v1.SecretVolumeSource(secret_name="x"))),
    )
    filled = pod.spec.containers[0].liveness_probe
    assert (filled.timeout_seconds, filled.period_seconds, filled.failure_threshold) == (1, 10, 3)
    assert (filled.http_get.path, filled.http_get.scheme) == ("/", "HTTP")
    assert pod.spec.volumes[0].empty_dir is not None
    assert pod.spec.volumes[1].secret.default_mode == 420


@pytest.mark.parametrize(
    ("requests", "limits", "qos"),
    [
        pytest.param({}, {}, "BestEffort", id="nothing"),
        pytest.param({"cpu": "1"}, {}, "Burstable", id="requests only"),
        pytest.param({}, {"cpu": "1000m", "memory": "1Gi"}, "Guaranteed", id="limits become requests"),
        pytest.param({"cpu": "500m"}, {"cpu": "1", "memory": "1Gi"}, "Burstable", id="below the limit"),
    ],
)
def test_qos_class_follows_requests_and_limits(requests, limits, qos):
    """The class follows requests and limits after defaults."""
    resources = v1.ResourceRequirements(requests=requests, limits=limits)
    pod = make_pod(v1.Container(name="c", image="i", resources=resources))
    assert pod_resources.qos_class(pod.spec) == qos


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(v1.Pod(), ["spec.containers: Required value"], id="no containers"),
        pytest.param(make_pod(v1.Container(name="c")), ["spec.containers[0].image: Required value"], id="no image"),
        pytest.param(
            make_pod(restart_policy="Foo"),
            ['spec.restartPolicy: Unsupported value: "Foo": supported values: "Always", "OnFailure", "Never"'],
            id="restart policy",
        ),
        pytest.param(
            make_pod(volumes=(v1.Volume(name="a"), v1.Volume(name="a"))),
            ['spec.volumes[1].name: Duplicate value: "a"'],
            id="volume twice",
        ),
        pytest.param(
            make_pod(v1.Container(name="c", image="i", volume_mounts=(v1.VolumeMount(name="zz", mount_path="/x"),))),
            ['spec.containers[0].volumeMounts[0].name: Not found: "zz"'],
            id="unknown volume",
        ),
        pytest.param(
            make_pod(
                v1.Container(
                    name="c",
                    image="i",
                    resources=v1.ResourceRequirements(requests={"cpu": "2"}, limits={"cpu": "1"}),
                )
            ),
            ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
            id="request above limit",
        ),
    ],
)
def test_pod_is_refused_in_upstreams_words(pod, expected):
    """Each mistake is named with its field."""
    assert complaints(pod_defaults.pod(pod)) == expected


def test_good_pod_is_not_refused():
    """A plain pod has no errors and no warnings."""
    pod = make_pod()
    assert complaints(pod) == []
    assert pod_warnings(pod, None) == []


def test_update_allows_the_image_and_refuses_the_rest():
    """Of a running pod's spec only a few fields may change."""
    old = make_pod()
    image = replace(old.spec.containers[0], image="example.com/app:2")
    assert list(STRATEGY.validate_update(replace(old, spec=replace(old.spec, containers=(image,))), old)) == []
    refused = STRATEGY.validate_update(replace(old, spec=replace(old.spec, host_network=True)), old)
    assert [error.field for error in refused] == ["spec"]
    assert refused[0].detail.startswith("pod updates may not change fields other than `spec.containers[*].image`")


def test_tolerations_may_only_be_added():
    """An existing toleration stays."""
    kept = v1.Toleration(key="a", operator="Exists")
    old = make_pod(tolerations=(kept,))
    more = replace(old.spec, tolerations=(kept, v1.Toleration(key="b", operator="Exists")))
    assert list(STRATEGY.validate_update(replace(old, spec=more), old)) == []
    none = replace(old.spec, tolerations=())
    assert [error.field for error in STRATEGY.validate_update(replace(old, spec=none), old)] == ["spec.tolerations"]


def test_grace_period_is_the_requests_then_the_pods():
    """A bound pod gets its time; one that no kubelet runs, or that is finished, goes at once."""
    assert STRATEGY.grace_seconds(make_pod(), None) == 0
    bound = make_pod(node_name="n", termination_grace_period_seconds=7)
    assert STRATEGY.grace_seconds(bound, None) == 7
    assert STRATEGY.grace_seconds(bound, 3) == 3
    assert STRATEGY.grace_seconds(replace(bound, status=v1.PodStatus(phase="Succeeded")), None) == 0


def _status(name="c", **values):
    return v1.ContainerStatus(name=name, **values)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        pytest.param(v1.PodStatus(phase="Pending"), ("0/1", "Pending", "0"), id="pending"),
        pytest.param(
            v1.PodStatus(
                phase="Running",
                container_statuses=(_status(ready=True, state=v1.ContainerState(running=v1.ContainerStateRunning())),),
            ),
            ("1/1", "Running", "0"),
            id="running",
        ),
        pytest.param(
            v1.PodStatus(
                phase="Running",
                container_statuses=(
                    _status(
                        restart_count=3,
                        state=v1.ContainerState(waiting=v1.ContainerStateWaiting(reason="CrashLoopBackOff")),
                        last_state=v1.ContainerState(
                            terminated=v1.ContainerStateTerminated(exit_code=1, finished_at="1970-01-02T23:59:00Z")
                        ),
                    ),
                ),
            ),
            ("0/1", "CrashLoopBackOff", "3 (60s ago)"),
            id="crashing",
        ),
        pytest.param(
            v1.PodStatus(
                phase="Failed",
                container_statuses=(
                    _status(state=v1.ContainerState(terminated=v1.ContainerStateTerminated(signal=9, exit_code=137))),
                ),
            ),
            ("0/1", "Signal:9", "0"),
            id="killed",
        ),
    ],
)
def test_row_sums_a_pod_up(status, shown):
    """Ready, status and restarts say what is the matter."""
    cells = pod_table.cells(replace(make_pod(), status=status), 2 * DAY)
    assert tuple(cells[1:4]) == shown
    assert cells[4] == "24h"
