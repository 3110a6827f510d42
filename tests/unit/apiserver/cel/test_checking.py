"""Which expressions make sense where they stand, and what is said about those that do not."""

import pytest

from pinnace.apiserver.cel import CompilationError, complaint, value_type
from pinnace.apiserver.cel.environments import (
    JSON_PATCH,
    OBJECT,
    admission,
    device,
    with_patches,
    with_variables,
)
from pinnace.apiserver.cel.types import ANY, BOOL, DYN, INT, NULL, STRING, list_of, map_of, optional_of

ADMISSION = with_variables(admission(params=True, authorizer=True), {"count": INT, "open": DYN})


@pytest.mark.parametrize(
    "source",
    [
        "object.spec.replicas <= 5",
        "has(object.metadata.labels) && object.metadata.labels['a'] == 'b'",
        "!('system:nodes' in request.userInfo.groups)",
        "request.resource.group == 'apps' || request.operation in ['CREATE', 'UPDATE']",
        "authorizer.group('').resource('pods').namespace('a').check('create').allowed()",
        "authorizer.requestResource.check('approve').allowed()",
        "object.spec.containers.all(c, c.image.startsWith('r/') || c.name in ['a', 'b'])",
        "object.spec.containers.map(c, c.image).filter(i, i.contains('x')).size() == 0",
        "object.items.exists_one(i, i.a) && object.items.exists(i, j, i == j)",
        "variables.count > 3 && variables.open.anything",
        "quantity('1').isLessThan(quantity(object.x))",
        "object.?spec.?x.orValue(1) == 1 && object[?'a'].hasValue()",
        "has(oldObject.x) ? true : false",
        "namespaceObject.metadata.labels.exists(k, k == 'a')",
        "[1, 2, 3].sum() > 2 && ['b'].isSorted()",
        "sets.contains(['a'], ['b']) && ip.isCanonical('1.2.3.4')",
        "cidr('10.0.0.0/8').containsIP(ip('10.0.0.1')) && isURL('https://a')",
        "format.dns1123Label().validate('a').hasValue()",
        "semver('1.0.0').compareTo(semver('2.0.0')) < 0",
        "type(object.x) == int && dyn(1) == 'a'",
        "timestamp(object.t) - timestamp('2020-01-01T00:00:00Z') > duration('1h')",
        "object.metadata.name.matches('^a.*$')",
        "{'a': 1}.all(k, v, v > 0) && {}.size() == 0",
        "'%s-%d'.format(['a', 1]) == 'a-1'",
        "optional.none().orValue('a') == 'a'",
        "object == null || namespaceObject != null",
        "1 < 1.0 && 1u < 2",
        "['a', object.b].join(',') == 'a,b'",
    ],
)
def test_condition_compiles(source):
    """What upstream takes for a condition on requests is taken."""
    assert complaint(source, ADMISSION, (BOOL,)) is None


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        pytest.param("nosuch > 1", ["1:1: undeclared reference to 'nosuch' (in container '')"], id="name"),
        pytest.param("variables.z == 1", ["1:10: undefined field 'z'"], id="variable"),
        pytest.param("has(request.nosuch)", ["1:4: undefined field 'nosuch'"], id="presence of a field"),
        pytest.param("foo(1)", ["1:4: undeclared reference to 'foo' (in container '')"], id="function"),
        pytest.param("'a'.foo()", ["1:8: undeclared reference to 'foo' (in container '')"], id="method"),
        pytest.param(
            "1 == 'a'", ["1:3: found no matching overload for '_==_' applied to '(int, string)'"], id="operator"
        ),
        pytest.param("size(1) == 1", ["1:5: found no matching overload for 'size' applied to '(int)'"], id="argument"),
        pytest.param(
            "'a'.contains(null)",
            ["1:13: found no matching overload for 'contains' applied to 'string.(null)'"],
            id="argument of a method",
        ),
        pytest.param("'a'.size", ["1:4: type 'string' does not support field selection"], id="member of a string"),
        pytest.param("[1, 'a'].size() > 0", ["1:5: expected type 'int' but found 'string'"], id="mixed list"),
        pytest.param("{'a': 1, 2: 3}.size() > 0", ["1:10: expected type 'string' but found 'int'"], id="mixed map"),
        pytest.param(
            "1.all(x, true)",
            ["1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)"],
            id="loop over a number",
        ),
        pytest.param(
            "[1].all(x, x)",
            ["1:8: found no matching overload for '_&&_' applied to '(bool, int)'"],
            id="loop without a condition",
        ),
        pytest.param("[1].all(x, true) && x", ["1:21: undeclared reference to 'x' (in container '')"], id="scope"),
        pytest.param("params.x.matches('[')", ["1:18: invalid matches argument"], id="pattern"),
        pytest.param("int{}", ["1:4: 'int' is not a message type"], id="no message"),
        pytest.param("Object{}", ["1:7: undeclared reference to 'Object' (in container '')"], id="object elsewhere"),
        pytest.param(
            "a.b + c.d == 1",
            [
                "1:1: undeclared reference to 'a' (in container '')",
                "1:7: undeclared reference to 'c' (in container '')",
            ],
            id="several",
        ),
    ],
)
def test_condition_does_not_compile(source, wanted):
    """What is wrong is complained about once, at cel-go's place and in its words."""
    text = complaint(source, ADMISSION, (BOOL,))
    assert text is not None
    lines = [line for line in text.removeprefix("compilation failed: ").split("\n") if line.startswith("ERROR")]
    assert lines == [f"ERROR: <input>:{one}" for one in wanted]


@pytest.mark.parametrize(
    ("source", "wanted", "text"),
    [
        pytest.param("1", (BOOL,), "must evaluate to bool but got int", id="one"),
        pytest.param("object.x", (BOOL,), "must evaluate to bool but got dyn", id="open"),
        pytest.param("1", (STRING, NULL), "must evaluate to one of [string null_type] but got int", id="several"),
        pytest.param("timestamp('a')", (BOOL,), "must evaluate to bool but got google.protobuf.Timestamp", id="time"),
        pytest.param("[{}]", (BOOL,), "must evaluate to bool but got list(map(dyn, dyn))", id="empty"),
    ],
)
def test_value_of_another_type_is_refused(source, wanted, text):
    """The type asked for and the one found are written as upstream writes them."""
    assert complaint(source, ADMISSION, wanted) == text


def test_authorizer_is_known_only_where_it_is_given():
    """Messages may not ask the authorizer, nor name parameters that there are none of."""
    bare = admission(params=False, authorizer=False)
    assert complaint("params.x", bare, (STRING,)) is not None
    assert complaint("authorizer.path('/a').check('get').reason()", bare, (STRING,)) is not None
    assert complaint("authorizer.path('/a').check('get').reason()", ADMISSION, (STRING,)) is None


def test_patches_are_objects_of_their_own():
    """Where patches are made, objects have every field and operations those of a patch."""
    known = with_patches(ADMISSION)
    patch = "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c'), value: Object.x{a: 1}}]"
    assert value_type("Object{spec: Object.spec{replicas: 1, ?x: optional.none()}}", known) == OBJECT
    assert value_type(patch, known) == list_of(JSON_PATCH)
    with pytest.raises(CompilationError, match="undefined field 'opp'"):
        value_type("JSONPatch{opp: 'a'}", known)
    with pytest.raises(CompilationError, match="expected type of field 'op' is 'string' but provided type is 'int'"):
        value_type("JSONPatch{op: 1}", known)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        pytest.param("device.driver == 'd' && device.attributes['d'].size > 3", BOOL, id="attribute"),
        pytest.param("device.attributes['d'].ready", ANY, id="unknown"),
        pytest.param("device.capacity['d'].mem.compareTo(quantity('1Gi')) >= 0", BOOL, id="capacity"),
        pytest.param("cel.bind(d, device.attributes['d'], d.a && d.b)", BOOL, id="name for a value"),
    ],
)
def test_selector_of_devices_has_its_type(source, wanted):
    """Attributes may be of any type, capacities are quantities."""
    assert value_type(source, device()) == wanted


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        pytest.param("[1].map(x, x * 2)", list_of(INT), id="map"),
        pytest.param("[1].map(x, x > 1, string(x))", list_of(STRING), id="map of some"),
        pytest.param("{'a': 1}.filter(k, k == 'a')", list_of(STRING), id="filter of keys"),
        pytest.param("[1].transformList(i, v, i + v)", list_of(INT), id="list of both"),
        pytest.param("{'a': 1}.transformMap(k, v, string(v))", map_of(STRING, STRING), id="map of values"),
        pytest.param("{'a': 1}.transformMapEntry(k, v, {v: k})", map_of(INT, STRING), id="map of entries"),
        pytest.param("optional.of(1).optMap(x, string(x))", optional_of(STRING), id="optional mapped"),
        pytest.param("optional.of(1).optFlatMap(x, optional.of('a'))", optional_of(STRING), id="optional flat"),
        pytest.param("true ? [] : [1]", list_of(INT), id="empty beside full"),
        pytest.param("[?optional.of(1)]", list_of(INT), id="optional item"),
        pytest.param("{'a': {'b': 1}}.?a.b", optional_of(INT), id="member of an optional"),
    ],
)
def test_value_has_its_type(source, wanted):
    """Macros and optional values have the types of what they bring forth."""
    assert value_type(source, ADMISSION) == wanted
