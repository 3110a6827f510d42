"""Waiting for what another process does: poll a condition, and say what was seen when it never came."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    look: Callable[[], T], accept: Callable[[T], bool] = bool, *, timeout: float = 30, every: float = 0.1
) -> T:
    """Look until `accept` holds, and return what was seen then; AssertionErrors of `look` count as not yet."""
    deadline = time.monotonic() + timeout
    seen: object = None
    while True:
        try:
            value = look()
        except AssertionError as error:
            seen = error
        else:
            if accept(value):
                return value
            seen = value
        assert time.monotonic() < deadline, f"not within {timeout} s; last seen: {seen}"
        time.sleep(every)
