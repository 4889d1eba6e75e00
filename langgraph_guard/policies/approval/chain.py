"""A record of deeds that shows when one was altered, left out or put in: each carries the hash of the one before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from langgraph_guard.policies.approval.actions import hashed

FIRST: Final = ""
"""What stands before the first record."""


class Deed(NamedTuple):
    """One thing that was done: `at` in milliseconds since 1970, `by` whom, to the approval or the execution `subject`.

    `digest` is of the action that it concerned. `detail` is a word or two, never contents; of what a
    person resolved, how they know.
    """

    number: int
    at_ms: int
    kind: str
    subject: str
    by: str
    digest: str
    detail: str
    before: str
    hash: str


class Head(NamedTuple):
    """The end of a chain: how many records it has, and the hash of the last."""

    number: int = 0
    hash: str = FIRST


def linked(head: Head, at_ms: int, kind: str, subject: str, by: str = "", digest: str = "", detail: str = "") -> Deed:
    """The record that comes after `head`."""
    number = head.number + 1
    told = (number, at_ms, kind, subject, by, digest, detail, head.hash)
    return Deed(*told, hashed("deed", *map(str, told)))


def head_of(deed: Deed) -> Head:
    return Head(deed.number, deed.hash)


def verify(deeds: Iterable[Deed], head: Head | None = None, after: Head = Head()) -> str | None:  # noqa: B008 - a value
    """What is wrong with the chain, oldest record first; `None` when nothing is. `head`: where it is known to end;
    without one, records that were cut off at the end are not missed. `after`: where the part that is given begins."""
    last = after
    for deed in deeds:
        if deed.number != last.number + 1:
            return f"record {last.number + 1} is missing"
        if deed.before != last.hash:
            return f"record {deed.number} does not follow the one before it"
        if deed.hash != hashed("deed", *map(str, deed[:-1])):
            return f"record {deed.number} was altered"
        last = head_of(deed)
    if head is not None and last != head:
        return f"the chain ends at record {last.number}, and {head.number} were written"
    return None
