"""Results kept by identity, and by short texts."""

import gc

from pinnace.api.core_v1 import PodSpec
from pinnace.machinery.memo import TEXT_LIMIT_CHARACTERS, Memo, remember_short


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


def test_remembered_texts_are_the_short_ones():
    """A short text is read once, a long one each time, so that nobody can fill the memory; the other arguments count too."""
    read = []

    @remember_short
    def parse(text, base):
        read.append(text)
        return int(text, base)

    long = "1".zfill(TEXT_LIMIT_CHARACTERS + 1)
    assert [parse("11", 10), parse("11", 10), parse("11", 2), parse(long, 10), parse(long, 10)] == [11, 11, 3, 1, 1]
    assert read == ["11", "11", long, long]
