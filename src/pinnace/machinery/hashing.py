"""Short, stable digests that become part of names (upstream `pkg/util/hash`, apimachinery `pkg/util/rand`)."""

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_FNV32_OFFSET, _FNV32_PRIME = 2166136261, 16777619


def fnv32a(data: bytes) -> int:
    """Return the 32-bit FNV-1a digest."""
    digest = _FNV32_OFFSET
    for byte in data:
        digest = (digest ^ byte) * _FNV32_PRIME & 0xFFFFFFFF
    return digest


def safe_encode(text: str) -> str:
    """Replace every character by one that spells no words, so that the result can stand in a name."""
    return "".join(SAFE_ALPHABET[ord(character) % len(SAFE_ALPHABET)] for character in text)


def template_hash(template: bytes, collision_count: int | None = None) -> str:
    """Return the hash that names a template's revision; a collision count makes another one of the same template."""
    if collision_count is not None:
        template += collision_count.to_bytes(4, "little") + bytes(4)
    return safe_encode(str(fnv32a(template)))
