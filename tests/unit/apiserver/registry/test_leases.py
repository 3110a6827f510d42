"""Lease: numbers, what is dropped, and its row."""

from msgspec.structs import replace
from tests.support.kind_rules import Rules


def test_lease_lasts_and_changes_hands_forward():
    """A lease lasts a second at least, and its transitions are counted up."""
    assert Rules("leases").refused({"spec.leaseDurationSeconds": 0, "spec.leaseTransitions": -1}) == [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
    ]


def test_lease_has_no_strategy():
    """How candidates are chosen is behind a gate that is off; the rest is kept as it was sent."""
    rules = Rules("leases")
    sent = rules.make({"spec.strategy": "OldestEmulationVersion", "spec.preferredHolder": "b"})
    kept = replace(sent, spec=replace(sent.spec, strategy=None, preferred_holder=None))
    assert rules.strategy.prepare_create(None, sent) == kept
    assert rules.strategy.prepare_update(None, sent, kept) == kept
    assert rules.strategy.prepare_create(None, kept) is kept


def test_lease_shows_its_holder():
    """Nobody holds a lease that names no holder."""
    assert Rules("leases").row({})["Holder"] == "a"
    assert Rules("leases").row({"spec": {}})["Holder"] == ""
