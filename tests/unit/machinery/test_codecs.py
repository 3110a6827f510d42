"""JSON and YAML texts to trees, within bounds."""

from __future__ import annotations

import re

import pytest

from pinnace.machinery.codec import json, yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"{} trailing", "invalid character 't' after top-level value"),
        (b"not json", "invalid character 'o' in literal null (expecting 'u')"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
    ],
)
def test_json_errors_are_gos(text, message):
    """The words that clients know."""
    with pytest.raises(ValueError, match=r"JSON|invalid character") as error:
        json.parse(text)
    assert str(error.value) == message


def test_json_reports_duplicates_and_keeps_the_last():
    """A key that comes twice is named by its path; its later value counts, of two maps the keys of both."""
    parsed = json.parse(b'{"a":{"b":1,"b":2},"l":[{"c":1,"c":2}],"m":{"x":1},"m":{"y":2}}')
    assert parsed.tree == {"a": {"b": 2}, "l": [{"c": 2}], "m": {"x": 1, "y": 2}}
    assert parsed.duplicates == ('duplicate field "a.b"', 'duplicate field "l[0].c"', 'duplicate field "m"')


def test_json_names_duplicates_in_the_order_of_the_text():
    """A key inside the first of two maps is met before the second map; each complaint comes once."""
    parsed = json.parse(b'{"d":{"x":1,"x":2},"d":{"x":3,"x":4},"d":0}')
    assert parsed.duplicates == ('duplicate field "d.x"', 'duplicate field "d"')


def test_json_nesting_is_bounded():
    """A text that is nothing but brackets is refused, not a crash."""
    with pytest.raises(ValueError, match="exceeded max depth"):
        json.parse(b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (b"a: 1\nb: yes\nc: null\n", {"a": 1, "b": True, "c": None}),
        (b"mode: 0644\n", {"mode": 420}),
        (b"when: 2020-01-01\n", {"when": "2020-01-01"}),
        (b"time: 12:30\n", {"time": "12:30"}),
        (b"1: a\ntrue: b\n", {"1": "a", "true": "b"}),
        (b"base: &b {x: 1}\nuse:\n  <<: *b\n  z: 2\n", {"base": {"x": 1}, "use": {"x": 1, "z": 2}}),
        (b"a: n\ny: 'y'\n", {"a": False, "true": "y"}),
    ],
)  # fmt: skip
def test_yaml_reads_what_json_can_say(text, tree):
    """Scalars resolve as upstream's reader resolves them."""
    assert yaml.parse(text).tree == tree


def test_yaml_reports_duplicates_by_line():
    """Under Strict the client is told the line."""
    parsed = yaml.parse(b"a: 1\nb: 2\na: 3\n")
    assert parsed.tree == {"a": 3, "b": 2}
    assert parsed.duplicates == ('yaml: unmarshal errors:\n  line 3: key "a" already set in map',)


def test_yaml_alias_bomb_is_refused():
    """A few hundred bytes of aliases do not become a billion nodes."""
    levels = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    levels += [f"a{n}: &a{n} [{','.join(f'*a{n - 1}' for _ in range(10))}]" for n in range(1, 9)]
    with pytest.raises(ValueError, match="excessive aliasing"):
        yaml.parse("\n".join(levels).encode())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"a: [", "yaml: line 1: did not find expected node content"),
        (b"a: [1\nb: 2\n", "yaml: line 1: did not find expected ',' or ']'"),
        (b"a: b\nc: @d\n", "yaml: line 2: found character that cannot start any token"),
    ],
)
def test_yaml_errors_name_the_line_as_upstream_counts(text, complaint):
    """A broken text says where; what the scanner stopped at is counted from 1, the rest from 0."""
    with pytest.raises(ValueError, match=re.escape(complaint)):
        yaml.parse(text)
