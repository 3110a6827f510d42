"""JSON of others: kept as it came, opened level by level, made canonical as Go does it."""

import msgspec
import pytest
from msgspec import Raw

from pinnace.machinery.codec import raw
from pinnace.machinery.patch import json_patch, merge


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b'{ "b" :\n[1 ,\t2.50] , "a": " x  y " }', b'{"b":[1,2.50],"a":" x  y "}', id="between-parts"),
        pytest.param(b'{"a":"\\" b \\\\" , "c": 1}', b'{"a":"\\" b \\\\","c":1}', id="quotes-in-texts"),
        pytest.param(b'{"a":1}', b'{"a":1}', id="none"),
    ],
)
def test_compact_takes_blanks_out_but_not_of_texts(text, expected):
    """Blanks go, order and spelling stay."""
    assert raw.compact(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(1.0, "1", id="whole"),
        pytest.param(-0.0, "-0", id="negative-zero"),
        pytest.param(1.5, "1.5", id="fraction"),
        pytest.param(1e16, "10000000000000000", id="python-would-write-an-exponent"),
        pytest.param(-1.25e20, "-125000000000000000000", id="largest-without-exponent"),
        pytest.param(1e21, "1e+21", id="exponent"),
        pytest.param(1.5e300, "1.5e+300", id="large-exponent"),
        pytest.param(0.00001, "0.00001", id="small-without-exponent"),
        pytest.param(0.0000015, "0.0000015", id="smallest-without-exponent"),
        pytest.param(1e-7, "1e-7", id="small-exponent-of-one-digit"),
        pytest.param(10**30, "1" + "0" * 30, id="integer-beyond-64-bits"),
    ],
)
def test_canonical_numbers_are_spelled_as_go_spells_them(value, expected):
    """A plain tree's numbers come out as Go's encoder writes them, and read back the same."""
    written = raw.canonical({"n": value})
    assert written == f'{{"n":{expected}}}'.encode()
    assert msgspec.json.decode(written)["n"] == value


def test_canonical_sorts_keys_at_every_level():
    """The order of a plain tree's keys does not matter."""
    assert raw.canonical({"b": [{"d": 1, "c": None}], "a": True}) == b'{"a":true,"b":[{"c":null,"d":1}]}'


def test_merge_opens_only_what_the_patch_touches():
    """Siblings of what is changed keep order and spelling; what is opened is sorted when it is written."""
    document = Raw(b'{"z":{"y":1.50,"x":{"b":1,"a":2}},"keep":{"b":1e2,"a":1}}')
    patch = Raw(b'{"z":{"y":null,"w":{"d":2.0,"c":1}}}')
    merged = msgspec.json.encode(merge.apply(document, patch), order="deterministic")
    assert merged == b'{"keep":{"b":1e2,"a":1},"z":{"w":{"c":1,"d":2.0},"x":{"b":1,"a":2}}}'


def test_json_patch_opens_only_the_way_to_its_places():
    """Operations reach into raw values, and leave what they pass by as it is."""
    document = Raw(b'{"data":{"list":[{"b":1.0,"a":2},3],"keep":{"b":1,"a":2}}}')
    operations = [
        Raw(b'{"op":"test","path":"/data/list/0","value":{"a":2,"b":1}}'),
        Raw(b'{"op":"replace","path":"/data/list/1","value":4.0}'),
        Raw(b'{"op":"copy","from":"/data/list/0","path":"/data/copied"}'),
        Raw(b'{"op":"remove","path":"/data/list/0"}'),
    ]
    patched = msgspec.json.encode(json_patch.apply(document, operations), order="deterministic")
    assert patched == b'{"data":{"copied":{"b":1.0,"a":2},"keep":{"b":1,"a":2},"list":[4.0]}}'
