"""Label and field selectors: what they pick, and how they are written."""

from __future__ import annotations

import pytest

from pinnace.api.meta_v1 import LabelSelector, LabelSelectorRequirement
from pinnace.machinery import selectors

LABELS = {"app": "web", "tier": "front", "level": "5"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True), ("app=web", True), ("app==web", True), ("app=db", False), ("app!=db", True), ("missing!=x", True),
        ("app in (web,db)", True), ("app notin (db)", True), ("missing notin (a)", True), ("app", True), ("!app", False),
        ("!missing", True), ("level>4", True), ("level<5", False), ("tier>1", False), ("app=web,tier=back", False), ("app=", False),
        (" app = web , tier in ( front ) ", True),
    ],
)  # fmt: skip
def test_labels_match_by_upstreams_grammar(text, matches):
    """Each operator, with a missing label satisfying the negative ones."""
    assert selectors.parse_labels(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
    ],
)
def test_labels_that_do_not_parse_say_where(text, message):
    """The complaint is upstream's."""
    with pytest.raises(ValueError, match="expected") as error:
        selectors.parse_labels(text)
    assert str(error.value) == message


def test_labels_are_written_back_sorted():
    """A selector's text is canonical."""
    assert str(selectors.parse_labels("c in (e,d),a=b,!f")) == "a=b,c in (d,e),!f"


def test_none_selects_nothing_and_empty_everything():
    """The two meanings of a selector that says nothing."""
    assert not selectors.from_label_selector(None).matches(LABELS)
    assert selectors.from_label_selector(LabelSelector()).matches(LABELS)


def test_label_selector_of_the_api():
    """matchLabels and matchExpressions are ANDed; an unknown operator is an error."""
    expression = LabelSelectorRequirement(key="tier", operator="In", values=("front", "back"))
    picked = selectors.from_label_selector(LabelSelector(match_labels={"app": "web"}, match_expressions=(expression,)))
    assert picked.matches(LABELS)
    assert not picked.matches({"app": "web"})
    with pytest.raises(ValueError, match="not a valid label selector operator"):
        selectors.from_label_selector(
            LabelSelector(match_expressions=(LabelSelectorRequirement(key="a", operator="Near"),))
        )


def test_fields_match_and_unescape():
    """Equality and inequality, escapes in values."""
    picked = selectors.parse_fields(r"metadata.name=a\,b,status.phase!=Running")
    assert picked.matches({"metadata.name": "a,b", "status.phase": "Pending"})
    assert not picked.matches({"metadata.name": "a,b", "status.phase": "Running"})
    assert picked.exact("metadata.name") == "a,b"
    assert picked.exact("status.phase") is None


def test_fields_that_do_not_parse_say_what():
    """The complaint quotes the selector."""
    with pytest.raises(ValueError, match="invalid selector: 'nonsense'; can't understand 'nonsense'"):
        selectors.parse_fields("nonsense")
