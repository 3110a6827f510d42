"""Results kept by identity."""

import gc

from pinnace.api.core_v1 import PodSpec
from pinnace.machinery.memo import Memo


def test_memo_works_out_a_value_once():
    """The same value, and the same further arguments, are worked out once; others again."""
    asked = []

    def describe(spec, word):
        asked.append((spec, word))
        return f"{word} {spec.node_name}"

    memo = Memo(describe)
    spec = PodSpec(node_name="n1")
    assert [memo(spec, "on"), memo(spec, "on"), memo(spec, "off")] == ["on n1", "on n1", "off n1"]
    assert [word for _, word in asked] == ["on", "off"]


def test_memo_tells_equal_values_apart():
    """An equal value is another one: nothing is compared."""
    memo = Memo(id)
    one, other = PodSpec(node_name="n1"), PodSpec(node_name="n1")
    assert memo(one) == id(one)
    assert memo(other) == id(other)


def test_memo_is_bounded_and_never_confuses_a_reused_identity():
    """Beyond its limit the oldest goes; a value that takes over a collected one's address gets its own result."""
    memo = Memo(lambda spec: spec.node_name, limit=4)
    for number in range(2000):
        assert memo(PodSpec(node_name=str(number))) == str(number)
        if number % 500 == 0:
            gc.collect()
    assert len(memo._known) == 4
