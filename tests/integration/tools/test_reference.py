"""The API reference: as generated, and the tables that it is generated from name what is there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from msgspec import Struct
from tools.inert_fields import INERT, RECORDS, SETTLED, _members, _structs, inert_fields

from pinnace.api.resources import RESOURCES


def test_reference_is_as_generated() -> None:
    """The committed page is what the generator writes now."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.generate_reference", "--check"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def every_member() -> set[tuple[str, str]]:
    """Type and wire name of all fields of all stored kinds, without status."""
    import typing

    seen: set[type[Struct]] = set()
    waiting = [one.type for one in RESOURCES if one.is_stored]
    found: set[tuple[str, str]] = set()
    while waiting:
        cls = waiting.pop()
        if cls in seen:
            continue
        seen.add(cls)
        for attribute, wire in _members(cls):
            found.add((cls.__name__, wire))
            waiting += [inner for inner, _ in _structs(typing.get_type_hints(cls)[attribute])]
    return found


def test_tables_name_fields_that_exist() -> None:
    """A field of the tables that no type has, a kind that is not served, or a line in both tables is a mistake."""
    assert not {*INERT, *SETTLED} - every_member()
    assert not {*INERT} & {*SETTLED}
    assert not {*RECORDS} - {(one.group, one.plural) for one in RESOURCES}


@pytest.mark.parametrize(
    ("kind", "path", "inert"),
    [
        pytest.param("Pod", "spec.volumes[].azureDisk", True, id="no-driver"),
        pytest.param("Pod", "spec.volumes[].configMap", False, id="mounted"),
        pytest.param("Pod", "spec.nodeSelector", False, id="scheduled-by"),
        pytest.param("CSINode", "", True, id="whole-kind"),
        pytest.param("Deployment", "spec.replicas", False, id="controlled"),
    ],
)
def test_fields_without_effect_are_found(kind: str, path: str, inert: bool) -> None:
    """What nobody reads is listed, what a component acts on is not."""
    assert ((kind, path) in {(one.resource.kind, one.path) for one in inert_fields()}) is inert
