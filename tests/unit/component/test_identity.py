import random
import uuid

from pinnace.component.identity import SUFFIX_ALPHABET, Identity, system_identity


def test_identity_uid_is_a_version_4_uuid():
    """UIDs parse as random UUIDs of the usual variant."""
    parsed = uuid.UUID(Identity(random.Random(1)).uid())
    assert parsed.version == 4
    assert parsed.variant == uuid.RFC_4122


def test_identity_of_one_seed_repeats_itself():
    """The same seed gives the same names, so that a test can be repeated."""
    one, two = Identity(random.Random(7)), Identity(random.Random(7))
    assert (one.uid(), one.suffix(), one.token_bytes(8)) == (two.uid(), two.suffix(), two.token_bytes(8))


def test_identity_suffix_uses_upstreams_alphabet():
    """Suffixes have the length asked for and only letters of the alphabet."""
    suffix = system_identity().suffix(200)
    assert len(suffix) == 200
    assert set(suffix) <= set(SUFFIX_ALPHABET)
