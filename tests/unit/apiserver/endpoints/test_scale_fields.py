"""Owners of replicas between a workload and its scale; the cases are upstream's (`scalehandler_test.go`)."""

import pytest

from pinnace.apiserver.endpoints.scale_fields import REPLICAS, VERSION, to_scale, to_workload
from pinnace.machinery.managedfields import APPLY, UPDATE, Manager, Owned

SELECTOR = {"f:spec": {"f:selector": {}}}
BOTH = {"f:spec": {"f:replicas": {}, "f:selector": {}}}


def owner(name, operation, version, subresource=""):
    return Manager(operation, name, version if operation == UPDATE else "", subresource)


def on_workload(name, operation, fields, time=None, subresource=""):
    return {owner(name, operation, "apps/v1", subresource): Owned(fields, "apps/v1", time)}


def on_scale(name, operation, fields=REPLICAS, time=None, subresource="scale"):
    return {owner(name, operation, VERSION, subresource): Owned(fields, VERSION, time)}


@pytest.mark.parametrize("operation", [APPLY, UPDATE])
def test_scale_shows_who_owns_the_replicas(operation):
    """Everybody else is left out; times stay."""
    managers = {
        **on_workload("one", operation, SELECTOR, "t1"),
        **on_workload("two", operation, BOTH, "t2"),
        **on_workload("three", operation, REPLICAS, "t3", "scale"),
    }
    assert to_scale(managers, "apps/v1") == {
        **on_scale("two", operation, time="t2", subresource=""),
        **on_scale("three", operation, time="t3"),
    }


def test_scale_shows_nobody_of_another_version():
    """What is owned in a version that the workload is not served in cannot be told."""
    managers = {owner("one", APPLY, ""): Owned(BOTH, "apps/v10")}
    assert to_scale(managers, "apps/v1") == {}


@pytest.mark.parametrize("before", [APPLY, UPDATE])
@pytest.mark.parametrize("after", [APPLY, UPDATE])
@pytest.mark.parametrize("name", ["test", "scale"])
def test_scaling_takes_the_replicas(before, after, name):
    """Under the scale a manager is another one than on the workload, so the replicas change hands."""
    managers = on_workload("test", before, BOTH, "t1")
    assert to_workload(managers, on_scale(name, after), "apps/v1") == {
        **on_workload("test", before, SELECTOR, "t1"),
        **on_workload(name, after, REPLICAS, subresource="scale"),
    }


def test_scaling_leaves_no_owner_of_nothing():
    """Who owned only the replicas is gone."""
    managers = on_workload("test", APPLY, REPLICAS, "t1")
    assert to_workload(managers, on_scale("scale", UPDATE), "apps/v1") == on_workload(
        "scale", UPDATE, REPLICAS, subresource="scale"
    )


@pytest.mark.parametrize("operation", [APPLY, UPDATE])
def test_scaling_that_takes_nothing_changes_nothing(operation):
    """Owners that the scale still shows stay as they are on the workload, with their times."""
    managers = on_workload("test", operation, BOTH, "t1")
    scale = to_scale(managers, "apps/v1")
    assert to_workload(managers, scale, "apps/v1") == managers
    shared = {**scale, **on_scale("scale", APPLY)}
    assert to_workload(managers, shared, "apps/v1") == {
        **managers,
        **on_workload("scale", APPLY, REPLICAS, subresource="scale"),
    }


def test_scaling_counts_only_the_replicas():
    """What else a manager owns of a scale does not exist on the workload."""
    managers = on_workload("test", APPLY, SELECTOR)
    status = on_scale("scale", UPDATE, {"f:status": {"f:replicas": {}}})
    assert to_workload(managers, status, "apps/v1") == managers


def test_scaling_drops_owners_of_another_version():
    """They could not be told whether they own the replicas."""
    managers = {owner("old", APPLY, ""): Owned(SELECTOR, "apps/v10")}
    assert to_workload(managers, {}, "apps/v1") == {}
