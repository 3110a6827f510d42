"""Chance: the one source of UIDs, name suffixes and secret bytes.

Everything else is given an `Identity`. The system's own draws from the operating system; one made from a seeded
`random.Random` makes a test repeatable. Upstream: apimachinery `util/rand` (the alphabet has neither vowels nor look-alikes, so
that no suffix spells a word), `util/uuid`.
"""

import random

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class Identity:
    """Gives out names that nothing else has."""

    __slots__ = ("random",)

    def __init__(self, source: random.Random) -> None:
        self.random = source

    def uid(self) -> str:
        """Return a version 4 UUID in its usual text form."""
        bits = self.random.getrandbits(128) & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48)
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def suffix(self, length: int = 5) -> str:
        """Return a suffix for a generated name."""
        return "".join(self.random.choices(SUFFIX_ALPHABET, k=length))

    def token_bytes(self, length: int) -> bytes:
        """Return bytes nobody can guess, as far as the source allows."""
        return self.random.randbytes(length)


def system_identity() -> Identity:
    """Return an identity that draws from the operating system's random source."""
    return Identity(random.SystemRandom())
