"""A range of addresses in equal blocks, one a node: which are in use, and which comes next (pkg/controller/nodeipam/ipam/cidrset).

Blocks are numbers, so that giving one costs the same whatever the size of the range. Each is given after the last one, and freed ones only when
the range has been gone through: an address that somebody may still remember is not somebody else's at once.
"""

from collections import Counter
from ipaddress import IPv4Network, IPv6Network, ip_network

# Bits of a node's part: a /24 of IPv4, a /64 of IPv6; upstream's defaults.
NODE_BITS_V4, NODE_BITS_V6 = 24, 64
# The most that a node's part may be smaller than an IPv6 range, in bits.
_WIDEST_BITS = 16


class CidrSet:
    """The blocks of one range."""

    def __init__(self, cidr: str) -> None:
        """Cut a range into blocks.

        Raises:
            ValueError: it is none, or too large or too small to be cut.
        """
        self._range: IPv4Network | IPv6Network = ip_network(cidr)
        bits = NODE_BITS_V4 if self._range.version == 4 else NODE_BITS_V6
        width = bits - self._range.prefixlen
        if width < 0:
            raise ValueError(f"the range {cidr} is smaller than the /{bits} of one node")
        if self._range.version == 6 and width > _WIDEST_BITS:
            raise ValueError("New CIDR set failed; the node CIDR size is too big")
        self._bits, self._count = bits, 1 << width
        # Block → how often it is in use: ranges given by hand may overlap.
        self._used: Counter[int] = Counter()
        self._next = 0

    def take(self) -> str | None:
        """Use the next free block; None when there is none."""
        if len(self._used) >= self._count:
            return None
        while self._next in self._used:
            self._next = (self._next + 1) % self._count
        block, self._next = self._next, (self._next + 1) % self._count
        self._used[block] = 1
        return str(self._block(block))

    def occupy(self, cidr: str) -> None:
        """Use the blocks that a range touches, wherever it came from."""
        for block in self._touched(cidr):
            self._used[block] += 1

    def release(self, cidr: str) -> None:
        """Use a range no more that was taken or occupied."""
        for block in self._touched(cidr):
            self._used[block] -= 1
            if self._used[block] <= 0:
                del self._used[block]

    def _block(self, number: int) -> IPv4Network | IPv6Network:
        start = int(self._range.network_address) + (number << (self._range.max_prefixlen - self._bits))
        made = IPv4Network if self._range.version == 4 else IPv6Network
        return made((start, self._bits))

    def _touched(self, cidr: str) -> range:
        other = ip_network(cidr, strict=False)
        if other.version != self._range.version:
            return range(0)
        shift = self._range.max_prefixlen - self._bits
        begin = int(self._range.network_address)
        first = (int(other.network_address) - begin) >> shift
        last = (int(other.broadcast_address) - begin) >> shift
        return range(max(first, 0), min(last, self._count - 1) + 1)
