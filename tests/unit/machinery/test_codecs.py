"""JSON and YAML texts to trees, within bounds."""

from __future__ import annotations

import re

import pytest

from pinnace.machinery.codec import json, yaml
from pinnace.machinery.codec.bounds import DEPTH_LIMIT, WIDTH_LIMIT, is_within


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
        (b'{"a":1e999}', "json: cannot unmarshal number 1e999 into Go value of type float64"),
        (b'{"a":' + b"9" * 5000 + b"}", f"json: cannot unmarshal number {'9' * 1000} into Go value of type float64"),
    ],
)
def test_json_errors_are_gos(text, message):
    """The words that clients know."""
    with pytest.raises(ValueError, match=r"JSON|invalid character|cannot unmarshal") as error:
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


@pytest.mark.parametrize("levels", [DEPTH_LIMIT + 2, 990, 100_000], ids=["over", "as deep as Python reads", "deep"])
@pytest.mark.parametrize(
    ("before", "after"), [(b"[", b"]"), (b'{"a":', b"}"), (b'{"a":1,"a":', b"}")], ids=["lists", "maps", "twice"]
)
def test_json_nesting_is_bounded(levels, before, after):
    """A text that is nothing but brackets is refused, not a crash."""
    with pytest.raises(ValueError, match="exceeded max depth"):
        json.parse(before * levels + b"0" + after * levels)


def test_json_reads_what_is_as_deep_as_it_may_be():
    """The bound itself is taken, and by the test on bytes too."""
    data = b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT
    assert json.parse(data).tree
    assert is_within(data)
    assert is_within(b"[" + b",".join([b'{"a":{}}'] * 1000) + b"]")
    assert not is_within(b"[" * 201 + b"]" * 201)
    assert not is_within(b"[" * 1000)


@pytest.mark.parametrize(
    ("read", "more"), [pytest.param(json.parse, b"{}", id="json"), pytest.param(yaml.parse, b"[]", id="yaml")]
)
def test_documents_are_as_wide_as_they_may_be(read, more):
    """So many maps and lists are read, one more is not; brackets inside of a text are none."""
    least = b"[" + b",".join([more] * (WIDTH_LIMIT - 1))
    assert len(read(least + b"]").tree) == WIDTH_LIMIT - 1
    with pytest.raises(ValueError, match="exceeded max number of maps and lists"):
        read(least + b"," + more + b"]")
    assert read(b'{"a":"' + more * WIDTH_LIMIT + b'"}').tree
    assert not is_within(least + b"," + more + b"]")


def test_json_surrogate_halves_become_the_replacement_character():
    """What could not be encoded again is read as Go reads it, keys that stand twice included."""
    parsed = json.parse(b'{"\\ud800":["a\\udfffb"],"k":1,"k":2,"\\ud83d\\ude00":"\\ud83d\\ude00"}')
    assert parsed.tree == {"\ufffd": ["a\ufffdb"], "k": 2, "\U0001f600": "\U0001f600"}
    assert parsed.duplicates == ('duplicate field "k"',)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        pytest.param(b'"m":{"k%d":1}', 1, id="one map of many"),
        pytest.param(b'"a":{"b":%d}', 1, id="the same map"),
        pytest.param(b'"a":%d', 1, id="the same key"),
        pytest.param(b'"k%d":{"a":1,"a":2}', json.COMPLAINTS_LIMIT, id="each its own"),
    ],
)
def test_json_says_a_bounded_number_of_duplicates(part, found):
    """Each is named once, and at most a hundred are."""
    parsed = json.parse(b"{" + b",".join(part % number if b"%d" in part else part for number in range(1000)) + b"}")
    assert len(parsed.duplicates) == found


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
        (b"l: &l [a, b]\nm: *l\n", {"l": ["a", "b"], "m": ["a", "b"]}),
        (b"<<: [{a: 1, b: 1}, {a: 2, c: 2}]\nb: 3\n", {"a": 1, "b": 3, "c": 2}),
        (b"0644: a\n'1': b\n~: c\n", {"0644": "a", "1": "b", "~": "c"}),
        (b"s: !!str 1\ni: !!int '2'\nq: '3'\n! x: !u z\n", {"s": "1", "i": 2, "q": "3", "x": "z"}),
        (b"--- |\n  text\n", "text\n"),
        (b"", None),
        (b"# nothing\n", None),
        (b"? a\n? b\n", {"a": None, "b": None}),
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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" * 100_000, "exceeded max depth"),
        (b"{a: " * 100_000, "exceeded max depth"),
        (b"- " * 100_000, "exceeded max depth"),
        (b"? " * 100_000, "exceeded max depth"),
        (b"a: &a " + b"x" * 10_000 + b"\nb: [" + b"*a," * 1000 + b"]", "excessive aliasing"),
        (b"a: &a {" + b"x: 1, y: 1, " * 20 + b"}\nb: {<<: [" + b"*a," * 10_000 + b"]}", "excessive aliasing"),
        (b"a: &a [*a]", "value contains itself"),
        (b"a: *b", "unknown anchor 'b' referenced"),
        (b"a: !!float 1e999", "unsupported value: +Inf"),
        (b"a: -.inf", "unsupported value: -.inf"),
        (b"a: !!int ''", "invalid literal"),
        (b"a: " + b"1" * 1001, "too many digits"),
        (b"[a]: b", "line 1: a key that is no scalar"),
        (b"a: 1\n---\nb: 2\n", "expected a single document"),
        (b"<<: 1", "map merge requires map"),
        (b"\xff\xfe\xff", "yaml: "),
        (b"a: \xff", "yaml: "),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:20]),
)
def test_yaml_refuses_what_is_too_much_or_no_json(data, message):
    """Depth, aliases of any kind and values that JSON has not are errors, and no crash of the process."""
    with pytest.raises(ValueError, match=re.escape(message)):
        yaml.parse(data)


def test_yaml_reads_what_is_as_deep_as_it_may_be():
    """The bound itself is taken."""
    assert yaml.parse(b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT).tree


def test_yaml_streams_give_each_document():
    """Empty documents are left out."""
    assert list(yaml.parse_all(b"a: 1\n---\n---\n- b\n...\n")) == [{"a": 1}, ["b"]]
