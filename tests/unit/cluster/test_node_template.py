"""What simulated nodes are made from."""

from itertools import islice

import pytest

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.cluster.node_template import TemplateError, free_names, made_from, template
from pinnace.cluster.simulated_node import SIMULATED_LABEL, NodeAddresses, is_simulated, max_pods, simulation

MANIFEST = b"""
apiVersion: v1
kind: Node
metadata:
  labels: {tier: gold, disk: ssd}
  annotations: {simulated.pinnace.dev/start-seconds: "2", simulated.pinnace.dev/pull-seconds: soon}
spec:
  taints: [{key: only, value: tests, effect: NoSchedule}]
status:
  capacity: {cpu: "2", memory: 4Gi, pods: "7", example.org/gpu: "3", hugepages-2Mi: "0"}
"""


def test_template_joins_manifest_and_options() -> None:
    """Labels and amounts of the command line win over the manifest's; its annotations and taints are kept."""
    node = made_from(template(MANIFEST, "disk=hdd,zone=a", "cpu=16"), "sim-1")
    assert node.metadata.name == "sim-1"
    assert node.metadata.labels["disk"] == "hdd"
    assert node.metadata.labels["tier"] == "gold"
    assert node.metadata.labels["zone"] == "a"
    assert node.metadata.labels["kubernetes.io/hostname"] == "sim-1"
    assert node.metadata.labels[SIMULATED_LABEL] == "true"
    assert [taint.key for taint in node.spec.taints] == ["only"]
    assert dict(node.status.capacity)["cpu"] == "16"
    assert dict(node.status.capacity)["memory"] == "4Gi"


def test_node_says_what_it_has_and_how_it_behaves() -> None:
    """Amounts come from the capacity, times from the annotations; what is no number of seconds says nothing."""
    node = template(MANIFEST)
    found = simulation(node)
    assert (found.cpu, found.memory, found.start_seconds, found.pull_seconds) == ("2", "4Gi", 2.0, 0.0)
    assert found.extended_resources == {"example.org/gpu": "3"}
    assert max_pods(node) == 7
    assert max_pods(template()) == 110


@pytest.mark.parametrize(
    ("manifest", "labels", "capacity", "complaint"),
    [
        pytest.param(b"a: [", "", "", "cannot be read", id="no YAML"),
        pytest.param(b"- 1", "", "", "map of fields", id="a list"),
        pytest.param(b"kind: Pod", "", "", "but a Pod", id="another kind"),
        pytest.param(b"spec: {taints: 3}", "", "", "is no Node", id="a field of another type"),
        pytest.param(b"", "zone", "", "'zone' is no key=value", id="label without value"),
        pytest.param(b"", "", "=3", "'=3' is no key=value", id="amount of nothing"),
        pytest.param(b"", "", "cpu=many", "'many' is no amount of cpu", id="no amount"),
        pytest.param(b"", "", "cpu=-1", "'-1' is no amount of cpu", id="less than nothing"),
    ],
)
def test_template_tells_what_is_wrong(manifest: bytes, labels: str, capacity: str, complaint: str) -> None:
    """A template that makes no sense is refused with the reason."""
    with pytest.raises(TemplateError, match=complaint):
        template(manifest, labels, capacity)


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        pytest.param("{}", "no list of rules", id="no list"),
        pytest.param("[", "cannot be read", id="no YAML"),
        pytest.param("- {when: now}", "stage 1 is no map of match, share and set", id="unknown word"),
        pytest.param("- {set: {}}\n- {share: 2}", "share of stage 2 is no number from 0 to 1", id="share"),
        pytest.param("- {match: {name: x}}", "something else than namespace and labels", id="match"),
        pytest.param("- {set: 5}", "set of stage 1 is no map", id="set"),
    ],
)
def test_stages_tell_what_is_wrong(stages: str, complaint: str) -> None:
    """Rules that make no sense are refused before a node is made with them."""
    with pytest.raises(TemplateError, match=complaint):
        template(stages=stages)


def test_names_leave_out_those_that_are_taken() -> None:
    """New names fill the gaps."""
    assert list(islice(free_names("sim", ["sim-1", "sim-3", "other-2"]), 3)) == ["sim-2", "sim-4", "sim-5"]


@pytest.mark.parametrize(
    ("runtime", "asked", "expected"),
    [
        pytest.param("", True, True, id="new"),
        pytest.param("simulated://1.0", True, True, id="known"),
        pytest.param("Unknown", True, True, id="not asked yet"),
        pytest.param("containerd://1.6.20", True, False, id="real"),
        pytest.param("simulated://1.0", False, False, id="no more"),
    ],
)
def test_real_node_is_never_simulated(runtime: str, asked: bool, expected: bool) -> None:
    """The label makes a node a simulated one unless a real agent speaks for it."""
    model = template()
    labels = model.metadata.labels if asked else {}
    node = core_v1.Node(
        metadata=ObjectMeta(name="n", labels=labels),
        status=core_v1.NodeStatus(node_info=core_v1.NodeSystemInfo(container_runtime_version=runtime)),
    )
    assert is_simulated(node) is expected


def test_addresses_are_distinct_and_come_back() -> None:
    """No two of thousands share an address; one that returns gets its own back unless somebody has it."""
    addresses = NodeAddresses()
    given = [addresses.take(f"n{number}") for number in range(3000)]
    assert len(set(given)) == 3000
    assert (given[0], given[254]) == ("192.0.2.1", "198.18.0.1")
    addresses.release(given[5])
    assert addresses.take("n5", given[5]) == given[5]
    assert addresses.take("late", given[5]) not in given
