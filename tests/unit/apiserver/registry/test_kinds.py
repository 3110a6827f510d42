"""Smaller kinds: what is filled in, what is refused, how a row reads."""

import pytest
from msgspec.structs import replace

from pinnace.api import core_v1 as v1
from pinnace.api.apps_v1 import DaemonSet, DaemonSetSpec
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.api.resources import RESOURCES
from pinnace.apiserver.registry.apps import daemon_set
from pinnace.apiserver.registry.core import endpoints, limit_range, persistent_volume_claim, replication_controller
from pinnace.apiserver.registry.table import STRATEGIES

TEMPLATE = v1.PodTemplateSpec(
    metadata=ObjectMeta(labels={"a": "b"}), spec=v1.PodSpec(containers=(v1.Container(name="c", image="i:1"),))
)


@pytest.mark.parametrize(("group", "plural"), [pytest.param(*key, id="/".join(key)) for key in STRATEGIES])
def test_table_has_a_cell_for_each_column(group, plural):
    """A kind's row is as long as its head, even for an empty object."""
    resource = next(one for one in RESOURCES if (one.group, one.plural) == (group, plural))
    strategy = STRATEGIES[(group, plural)]
    if strategy.columns is None:
        assert strategy.cells is None
    else:
        # Upstream prints the age of an address without a column for it.
        more = 1 if plural == "ipaddresses" else 0
        assert len(strategy.cells(resource.type(), 0.0)) == len(strategy.columns) + more


@pytest.mark.parametrize(("group", "plural"), [pytest.param(*key, id="/".join(key)) for key in STRATEGIES])
def test_defaults_hold_after_the_first_time(group, plural):
    """Defaulting twice gives what defaulting once gave."""
    resource = next(one for one in RESOURCES if (one.group, one.plural) == (group, plural))
    once = STRATEGIES[(group, plural)].default(resource.type())
    assert STRATEGIES[(group, plural)].default(once) == once


def test_daemon_set_rolls_out_one_by_one_and_holds_its_selector():
    """The update strategy is completed; the selector never changes."""
    spec = DaemonSetSpec(selector=LabelSelector(match_labels={"a": "b"}), template=TEMPLATE)
    made = daemon_set.default(DaemonSet(metadata=ObjectMeta(name="d"), spec=spec))
    rolling = made.spec.update_strategy.rolling_update
    assert (rolling.max_unavailable, rolling.max_surge, made.spec.revision_history_limit) == (1, 0, 10)
    assert list(daemon_set.validate(made)) == []
    other = replace(made, spec=replace(made.spec, selector=LabelSelector(match_labels={"a": "c"})))
    assert "field is immutable" in [error.detail for error in daemon_set.validate_update(other, made)]


def test_replication_controller_takes_selector_and_labels_from_its_template():
    """A controller that names no pods means those of its template."""
    made = replication_controller.default(
        v1.ReplicationController(spec=v1.ReplicationControllerSpec(template=TEMPLATE))
    )
    assert (made.spec.replicas, made.spec.selector, made.metadata.labels) == (1, {"a": "b"}, {"a": "b"})


def test_limit_range_fills_defaults_from_the_maximum_and_refuses_contradictions():
    """The maximum is the default limit and request; a minimum above it is refused."""
    item = v1.LimitRangeItem(type="Container", max={"cpu": "2"}, min={"memory": "1Gi"})
    made = limit_range.default(v1.LimitRange(spec=v1.LimitRangeSpec(limits=(item,))))
    assert made.spec.limits[0].default == {"cpu": "2"}
    assert made.spec.limits[0].default_request == {"cpu": "2", "memory": "1Gi"}
    wrong = v1.LimitRangeItem(type="Pod", max={"cpu": "1"}, min={"cpu": "2"})
    found = limit_range.validate(v1.LimitRange(spec=v1.LimitRangeSpec(limits=(wrong,))))
    assert [error.detail for error in found] == ["min value 2 is greater than max value 1"]


def test_endpoints_refuse_addresses_that_no_pod_has():
    """Loopback addresses lead nowhere."""
    subset = v1.EndpointSubset(addresses=(v1.EndpointAddress(ip="127.0.0.1"),))
    found = endpoints.validate(v1.Endpoints(subsets=(subset,)))
    assert [error.field for error in found] == ["subsets[0].addresses[0].ip"]


def test_claim_needs_modes_and_a_size_and_then_holds():
    """A claim says how it is mounted and how large it is; unbound, neither changes."""
    assert [error.field for error in persistent_volume_claim.validate(v1.PersistentVolumeClaim())] == [
        "spec.accessModes",
        "spec.resources[storage]",
    ]
    resources = v1.VolumeResourceRequirements(requests={"storage": "1Gi"})
    spec = v1.PersistentVolumeClaimSpec(access_modes=("ReadWriteOnce",), resources=resources)
    claim = persistent_volume_claim.default(v1.PersistentVolumeClaim(spec=spec))
    more = replace(claim, spec=replace(claim.spec, resources=replace(resources, requests={"storage": "2Gi"})))
    assert [error.field for error in persistent_volume_claim.validate_update(more, claim)] == ["spec"]
    bound = replace(claim, status=v1.PersistentVolumeClaimStatus(phase="Bound"))
    assert list(persistent_volume_claim.validate_update(more, bound)) == []
