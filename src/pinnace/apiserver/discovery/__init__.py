"""What this server serves, as discovery tells it: group by group, or all at once."""

from pinnace.apiserver.discovery.documents import Discovery

__all__ = ("Discovery",)
