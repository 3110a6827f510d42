"""How conflicts of an apply are told."""

from pinnace.apiserver.endpoints.apply_conflicts import apply_conflict
from pinnace.machinery.managedfields import APPLY, UPDATE, Conflict, Manager, Owned


def conflict(name, *path, operation=APPLY, subresource="", version="v1"):
    manager = Manager(operation, name, "" if operation == APPLY else version, subresource)
    return Conflict(manager, Owned({}, version), path)


def test_one_conflict_is_told_in_one_line():
    """With the manager, and for an updater the version."""
    error = apply_conflict([conflict("a", "f:spec", "f:replicas", operation=UPDATE, version="apps/v1")])
    assert error.message == 'Apply failed with 1 conflict: conflict with "a" using apps/v1: .spec.replicas'


def test_conflicts_are_grouped_by_managers_in_order():
    """Each manager once, with its fields in their order."""
    error = apply_conflict([
        conflict("b", "f:data", "f:x"),
        conflict("a", "f:data", "f:z", subresource="status"),
        conflict("b", "f:data", "f:y"),
    ])
    assert error.message == (
        'Apply failed with 3 conflicts: conflicts with "a" with subresource "status":\n- .data.z\n'
        'conflicts with "b":\n- .data.x\n- .data.y'
    )
    assert [(cause.reason, cause.message, cause.field) for cause in error.causes] == [
        ("FieldManagerConflict", 'conflict with "a" with subresource "status"', ".data.z"),
        ("FieldManagerConflict", 'conflict with "b"', ".data.x"),
        ("FieldManagerConflict", 'conflict with "b"', ".data.y"),
    ]


def test_names_are_quoted_as_in_go():
    """A name may hold a quote."""
    assert apply_conflict([conflict('a"b', "f:x")]).causes[0].message == 'conflict with "a\\"b"'
