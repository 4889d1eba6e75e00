"""Parts of keys: from any text, so that no two texts have the same, and so that newer ids sort first.

    part("order-7")       order-7
    part("user:7/é")      user=3A7=2F=C3=A9     percent-encoding with =, so that no proxy takes it for its own
    part("")              =
    part("x" * 200)       ==9f86d081…           SHA-256, for what is long

Workers KV lists keys in ascending order of their bytes, and cannot begin in the middle. So ids are stored complemented:
the newest, which is what most reads ask for, comes first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from langgraph_guard.errors import CorruptCheckpoint
from langgraph_guard.forks import renew_in_children

LONGEST: Final = 96
"""Bytes of a part; what would be longer is hashed, and cannot be turned back."""

_DIGITS: Final = "0123456789abcdef"
_FLIP: Final = str.maketrans(_DIGITS, _DIGITS[::-1])

_END: Final = "~"
"""Comes after every digit, so an id comes after those that go on where it ends."""

STAMP: Final = 22
"""Characters of a stamp."""

AN_HOUR: Final = 3_600.0
"""In seconds."""


def part(text: str) -> str:
    """`text` as 1 to 96 characters of `[A-Za-z0-9_=-]`."""
    quoted = quote(text, safe="").replace(".", "%2E").replace("~", "%7E").replace("%", "=")
    return (quoted or "=") if len(quoted) <= LONGEST else f"=={sha256(text.encode()).hexdigest()}"


def flipped(digits: str) -> str:
    """Hexadecimal digits, each as its complement: their order is reversed."""
    return digits.translate(_FLIP)


def newest_first(id: str) -> str:
    """`id` so that encoded ids sort as ids do, from the last to the first."""
    return flipped(id.encode().hex()) + _END


def id_of(encoded: str) -> str:
    """The id that `newest_first` encoded."""
    try:
        if encoded.endswith(_END):
            return bytes.fromhex(flipped(encoded[:-1])).decode()
    except ValueError:
        pass
    raise CorruptCheckpoint("a key", "holds no checkpoint id")


class Stamps:
    """Names for calls, so that every call writes keys of its own; they sort as calls were made.

    A key is never written twice: a second write within a second is refused by Workers KV, and readers elsewhere might
    see the first one for a minute. Clocks of processes differ, so what a process has read comes before what it writes
    (a Lamport clock): of two answers to one question, the later stays.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last = 0
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def saw(self, moment: float) -> None:
        """Go on from there. A clock that is wrong by more than an hour is not followed."""
        with self._lock:
            if 0 < moment < self._now() + AN_HOUR:
                self._last = max(self._last, int(moment * 1_000_000) + 1)

    def next(self) -> str:
        with self._lock:
            self._last = max(self._last + 1, int(self._now() * 1_000_000))
            return f"{self._last:014x}{os.urandom(4).hex()}"


def moment_of(stamp: str) -> float:
    """When a stamp was made, in seconds since 1970."""
    try:
        return int(stamp[:14], 16) / 1_000_000
    except ValueError:
        raise CorruptCheckpoint("a key", "holds no time") from None
