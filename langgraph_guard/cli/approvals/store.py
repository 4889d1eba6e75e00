"""The desk, the outbox and the log that are looked at, as workers share them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from langgraph_guard.backends.protocols import ApprovalBackend, Backend
from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.approval.chain import Deed, Head, head_of, verify
from langgraph_guard.policies.approval.commands import Approval, DeskCommand, Look, Pending, Told, Trail
from langgraph_guard.policies.outbox import Doubt, Doubts

PAGE: Final = 500

SHORTEST: Final = 8
"""Letters of an id that are enough, where no other one begins so."""


class Unknown(Exception):
    """There is no such request. Says so, for whoever asked."""


def with_desk(backend: Backend) -> ApprovalBackend:
    if not isinstance(backend, ApprovalBackend):
        raise ConfigError("backend", f"has no approval desk, is a {type(backend).__name__}")
    return backend


def tell(backend: ApprovalBackend, command: DeskCommand) -> Any:
    return backend.desk.execute([command])[0]


def found(backend: ApprovalBackend, id: str) -> Approval:
    """The request with this id, or the only one whose id begins so. Raises `Unknown`."""
    begins = id.rstrip("…")
    known = approvals(backend, [id]) or approvals(backend, _beginning(backend, begins))
    if not known:
        raise Unknown("no such request: is the id whole, or 8 letters of it, and are these its tenant and prefix?")
    if len(known) > 1:
        raise Unknown(f"{len(known)} requests begin so: say more of the id")
    return known[0]


def _beginning(backend: ApprovalBackend, begins: str) -> list[str]:
    """Ids that begin so: of what waits, and of what is on record."""
    if len(begins) < SHORTEST:
        return []
    ids = [*(each.id for each in waiting(backend)), *(deed.subject for deed in log(backend).deeds)]
    return list(dict.fromkeys(id for id in ids if id.startswith(begins)))


def waiting(backend: ApprovalBackend, thread: str | None = None, at_once: int = 100) -> Iterator[Approval]:
    """All open requests, oldest first, in pages: each may have a megabyte of arguments."""
    after = ""
    while page := tell(backend, Pending(backend.tenant, thread, after, at_once)):
        yield from page
        after = page[-1].id


def doubts(backend: ApprovalBackend, at_once: int = 100) -> Iterator[Doubt]:
    """All executions in doubt, those that are so for longest first."""
    after = ""
    while page := cast(tuple[Doubt, ...], backend.outbox.execute([Doubts(backend.tenant, after, at_once)])[0]):
        yield from page
        after = page[-1].place


@dataclass(frozen=True)
class Log:
    """A tenant's records as far as they are kept, oldest first, and where they end."""

    deeds: tuple[Deed, ...]
    head: Head
    after: Head

    @property
    def problem(self) -> str | None:
        """What is wrong with it. What was forgotten before the first record that is kept cannot be looked at."""
        return verify(self.deeds, self.head, self.after)

    def has(self, head: Head) -> bool:
        """Whether the log once ended with `head`."""
        return head in (Head(), self.after) or any(head_of(deed) == head for deed in self.deeds)


def log(backend: ApprovalBackend, after: int = 0) -> Log:
    """All records behind number `after`. What is written meanwhile is read as well, up to the last page."""
    first = told = page(backend, after)
    deeds = list(told.deeds)
    while len(told.deeds) == PAGE:
        told = page(backend, deeds[-1].number)
        deeds += told.deeds
    return Log(tuple(deeds), told.head, first.after)


def page(backend: ApprovalBackend, after: int, count: int = PAGE) -> Told:
    return cast(Told, tell(backend, Trail(backend.tenant, after, count)))


def approvals(backend: ApprovalBackend, ids: Iterable[str]) -> list[Approval]:
    """Those of these requests that the desk knows."""
    wanted = tuple(dict.fromkeys(id for id in ids if id))
    parts = (wanted[at : at + PAGE] for at in range(0, len(wanted), PAGE))
    return [each for part in parts for each in tell(backend, Look(backend.tenant, part)) if each is not None]
