"""Blocks of a range: given in turn, each to one, and free again when nobody has them."""

import pytest

from pinnace.controllers.cidr_set import CidrSet


def test_blocks_are_given_in_turn_until_none_is_left() -> None:
    """Every block once, in order, then nothing."""
    blocks = CidrSet("10.1.0.0/22")
    assert [blocks.take() for _ in range(5)] == ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24", "10.1.3.0/24", None]


def test_freed_block_comes_last() -> None:
    """A block that was given back is not given again before the range has been gone through."""
    blocks = CidrSet("10.1.0.0/22")
    first = blocks.take()
    assert first is not None
    blocks.release(first)
    assert [blocks.take() for _ in range(4)] == ["10.1.1.0/24", "10.1.2.0/24", "10.1.3.0/24", "10.1.0.0/24"]


@pytest.mark.parametrize(
    ("occupied", "left"),
    [
        pytest.param("10.1.1.0/24", ["10.1.0.0/24", "10.1.2.0/24", "10.1.3.0/24"], id="one block"),
        pytest.param("10.1.1.64/26", ["10.1.0.0/24", "10.1.2.0/24", "10.1.3.0/24"], id="a part of one"),
        pytest.param("10.1.2.0/23", ["10.1.0.0/24", "10.1.1.0/24"], id="two blocks"),
        pytest.param("10.0.0.0/8", [], id="more than the range"),
        pytest.param("10.2.0.0/16", ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24", "10.1.3.0/24"], id="another range"),
        pytest.param("fd00::/64", ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24", "10.1.3.0/24"], id="another family"),
    ],
)
def test_occupied_ranges_are_left_out(occupied: str, left: list[str]) -> None:
    """What somebody has by hand is given to nobody else, and is free when it is given back."""
    blocks = CidrSet("10.1.0.0/22")
    blocks.occupy(occupied)
    given = [block for block in (blocks.take() for _ in range(4)) if block is not None]
    assert given == left
    blocks.release(occupied)
    assert len([block for block in (blocks.take() for _ in range(4)) if block is not None]) == 4 - len(left)


def test_range_that_two_have_is_free_after_both() -> None:
    """Ranges given by hand may overlap; one of them going does not free the other's."""
    blocks = CidrSet("10.1.0.0/24")
    blocks.occupy("10.1.0.0/25")
    blocks.occupy("10.1.0.0/24")
    blocks.release("10.1.0.0/25")
    assert blocks.take() is None
    blocks.release("10.1.0.0/24")
    assert blocks.take() == "10.1.0.0/24"


def test_blocks_of_ipv6_are_64_bits_wide() -> None:
    """The other family is cut as upstream cuts it."""
    blocks = CidrSet("fd00:1::/48")
    assert [blocks.take(), blocks.take()] == ["fd00:1::/64", "fd00:1:0:1::/64"]


@pytest.mark.parametrize(
    ("cidr", "complaint"),
    [
        pytest.param("10.1.0.0/25", "smaller than the /24 of one node", id="too small"),
        pytest.param("fd00::/47", "the node CIDR size is too big", id="too large"),
        pytest.param("everywhere", "does not appear to be", id="none"),
    ],
)
def test_range_that_cannot_be_cut_is_refused(cidr: str, complaint: str) -> None:
    """A range without a whole block in it, or with more than anybody can count, is no range of a cluster."""
    with pytest.raises(ValueError, match=complaint):
        CidrSet(cidr)
