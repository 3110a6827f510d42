"""Expressions as they are read, and the complaints about those that are none, which are cel-go's to the letter."""

import random

import pytest

from pinnace.apiserver.cel.issues import CompilationError
from pinnace.apiserver.cel.literals import literal_of
from pinnace.apiserver.cel.parser import NESTING_LIMIT, SIZE_LIMIT, parse
from pinnace.apiserver.cel.syntax import Call, Ident, Loop, Select
from pinnace.apiserver.cel.tokens import tokens_of

STARTS = (
    "'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER"
)

TOKENS = (
    ".", ".?", "[", "]", "[?", "(", ")", "{", "}", ",", ":", "?", "!", "-", "+", "*", "/", "%", "==", "!=", "<", "&&",
    "||", "in", "&", "|", "=", "@", "a", "has(", ".all(i,", ".map(", "A.B{", "true", "null", "1", "2u", "1.5", "'a'",
    "b'x'", "r'd'", '"q', "`a-b`", "é",
)  # fmt: skip


def complaints(source):
    """The complaints about an expression, each as line, column and text."""
    with pytest.raises(CompilationError) as caught:
        parse(source)
    lines = [line for line in str(caught.value).split("\n") if line.startswith("ERROR: <input>:")]
    return [line.removeprefix("ERROR: <input>:") for line in lines]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        pytest.param("a.b =", ["1:5: Syntax error: token recognition error at: '='"], id="half an operator at the end"),
        pytest.param(
            "a <", [f"1:4: Syntax error: mismatched input '<EOF>' expecting {{{STARTS}}}"], id="operand missing"
        ),
        pytest.param(
            "a | b",
            [
                "1:3: Syntax error: token recognition error at: '| '",
                "1:5: Syntax error: extraneous input 'b' expecting <EOF>",
            ],
            id="half an operator",
        ),
        pytest.param(
            "*@a | b",
            [
                f"1:1: Syntax error: extraneous input '*' expecting {{{STARTS}}}",
                "1:2: Syntax error: token recognition error at: '@'",
                "1:5: Syntax error: token recognition error at: '| '",
                "1:7: Syntax error: extraneous input 'b' expecting <EOF>",
            ],
            id="several",
        ),
        pytest.param(
            "-",
            [
                "1:2: Syntax error: no viable alternative at input '-'",
                f"1:2: Syntax error: mismatched input '<EOF>' expecting {{{STARTS}}}",
            ],
            id="sign alone",
        ),
        pytest.param(
            "{",
            [
                (
                    "1:2: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '}', '(', '.', ',', '-', '!', '?', "
                    "'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
                )
            ],
            id="map that is not closed",
        ),
        pytest.param("foo.", ["1:5: Syntax error: no viable alternative at input '.'"], id="member missing"),
        pytest.param(
            '{"a": 1}."a"',
            ["1:10: Syntax error: no viable alternative at input '.\"a\"'"],
            id="member that is a string",
        ),
        pytest.param(
            "T(){a: 1, b: 2}", ["1:4: Syntax error: mismatched input '{' expecting <EOF>"], id="message after a call"
        ),
        pytest.param(
            "want.filter(l, !(lin resource.labels))",
            [
                "1:22: Syntax error: mismatched input 'resource' expecting ')'",
                "1:38: Syntax error: extraneous input ')' expecting <EOF>",
            ],
            id="operator missing in brackets",
        ),
        pytest.param(
            "{1:305 2:569}", ["1:8: Syntax error: mismatched input '2' expecting {'}', ','}"], id="comma missing"
        ),
        pytest.param(
            '"%s".format(a])', ["1:14: Syntax error: extraneous input ']' expecting ')'"], id="bracket too many"
        ),
        pytest.param("0xFFFFFFFFFFFFFFFFF", ["1:1: invalid int literal"], id="int out of range"),
        pytest.param("0xFFFFFFFFFFFFFFFFFu", ["1:1: invalid uint literal"], id="uint out of range"),
        pytest.param("1.99e90000009", ["1:1: invalid double literal"], id="double out of range"),
        pytest.param("has(a)", ["1:5: invalid argument to has() macro"], id="has of no member"),
        pytest.param("a.all(b.c, d)", ["1:8: argument must be a simple name"], id="loop over no name"),
        pytest.param("a.map(1, d)", ["1:7: argument is not an identifier"], id="map over no name"),
        pytest.param("while", ["1:1: reserved identifier: while"], id="reserved word"),
    ],
)
def test_expression_is_refused(source, wanted):
    """Each complaint has cel-go's place and words, and stands in the order of places."""
    assert complaints(source) == wanted


def test_complaint_draws_line_and_column():
    """Under the line concerned, a mark stands where the complaint is, after dots as wide as what is before it."""
    with pytest.raises(CompilationError) as caught:
        parse("true &&\n\t'é' ==")
    assert str(caught.value).startswith("ERROR: <input>:2:8: Syntax error: mismatched input '<EOF>'")
    assert str(caught.value).endswith("\n |  'é' ==\n | ..．....^")


def test_tokens_in_any_order_are_read_or_refused():
    """Whatever comes, the parser ends with a tree or with complaints that have a text."""
    chance = random.Random(7)
    for _ in range(600):
        source = " ".join(chance.choice(TOKENS) for _ in range(chance.randint(1, 20)))
        try:
            parse(source)
        except CompilationError as error:
            assert str(error).startswith("ERROR: <input>:"), source  # noqa: PT017 - most are refused, and some are not


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("(" * 1000, id="brackets"),
        pytest.param("[" * 1000, id="lists"),
        pytest.param("!(" * 1000, id="signs and brackets"),
        pytest.param("1" + "+1" * 1000, id="sums"),
        pytest.param("a" + ".b" * 1000, id="members"),
        pytest.param("a" + "[0]" * 1000, id="items"),
        pytest.param("a ? b : " * 1000 + "c", id="choices"),
    ],
)
def test_deep_expression_is_refused(source):
    """What is nested deeper than the stack has room for is refused, and does not end the server."""
    with pytest.raises(CompilationError, match="expression recursion limit exceeded"):
        parse(source)


def test_nesting_up_to_the_limit_is_read():
    """As many brackets as are allowed are read."""
    assert parse("(" * (NESTING_LIMIT - 1) + "a" + ")" * (NESTING_LIMIT - 1)) == Ident(NESTING_LIMIT - 1, "a")


def test_long_conjunction_is_read():
    """A long chain of conditions makes no deep tree."""
    assert isinstance(parse(" && ".join(["a"] * 2000)), Call)


def test_large_expression_is_refused():
    """The number of characters is bounded as upstream bounds it."""
    with pytest.raises(CompilationError) as caught:
        parse(" " * (SIZE_LIMIT + 1))
    wanted = "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000"
    assert str(caught.value) == wanted


def test_operators_bind_by_precedence():
    """Products bind before sums, these before relations, and equal ones from the left."""
    tree = parse("a - b - c * d == e")
    assert isinstance(tree, Call)
    difference = tree.arguments[0]
    assert isinstance(difference, Call)
    assert (tree.function, difference.function, difference.offset) == ("_==_", "_-_", 6)
    assert [getattr(one, "function", "") for one in difference.arguments] == ["_-_", "_*_"]


def test_macros_are_told_from_calls():
    """A loop is one by its name and number of arguments; a presence test is of the member, not of its value."""
    assert isinstance(parse("a.all(x, x)"), Loop)
    assert isinstance(parse("a.all(x)"), Call)
    assert parse("has(a.b)") == Select(3, Ident(4, "a"), "b", only_test=True)
    assert isinstance(parse("cel.bind(a, b, c)"), Call)
    assert not isinstance(parse("cel.bind(a, b, c)", binds=True), Call)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("'a\\n\\x41\\u00e9\\101'", "a\nAéA", id="escapes"),
        pytest.param("r'\\d'", "\\d", id="raw"),
        pytest.param('"""a\nb"""', "a\nb", id="several lines"),
        pytest.param("b'\\xff\\n'", b"\xff\n", id="bytes"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("7u", 7, id="unsigned"),
        pytest.param("1e3", 1000.0, id="double"),
        pytest.param("null", None, id="null"),
    ],
)
def test_literal_has_its_value(text, value):
    """A literal means what CEL says it means."""
    tokens, _ = tokens_of(text)
    assert literal_of(tokens[0], None, []).value == value
