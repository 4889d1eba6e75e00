"""The desk and the outbox of one process: all that they promise, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langgraph_guard.backends.memory import MemoryBackend, journal
from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.policies.approval.chain import Head, verify
from langgraph_guard.policies.approval.commands import Trail
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import ApprovalContract
from langgraph_guard.testing.contracts.approvals.harness import KEPT, KEY, TENANT, Office, driven, request
from langgraph_guard.testing.contracts.approvals.histories import Histories


class OnMemory:
    """A backend of its own."""

    def make_backend(self, clock: FakeClock, tenant: str) -> ApprovalBackend:
        return MemoryBackend(clock=clock, tenant=tenant)


class TestMemoryApprovals(OnMemory, ApprovalContract):
    trials = 100


@pytest.mark.slow
class TestManyMemoryHistories(OnMemory, Histories):
    histories = 400


@pytest.fixture
def clock() -> FakeClock:
    """Time that the test moves."""
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> MemoryBackend:
    """An empty one."""
    return MemoryBackend(tenant=TENANT, clock=clock)


@pytest.fixture
def office(backend: MemoryBackend) -> Iterator[Office]:
    """Its desk and its outbox."""
    with driven(backend, "execute") as office:
        yield office


def test_it_is_an_approval_backend(backend: MemoryBackend) -> None:
    """What an approval node and a tool guard ask for, answered at once."""
    assert isinstance(backend, ApprovalBackend)
    assert (backend.desk.instant, backend.outbox.instant) == (True, True)


def test_the_trail_is_bounded_and_still_verified(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its beginning goes; what is left says what it comes after, so whoever wrote that down misses nothing."""
    monkeypatch.setattr(journal, "KEPT_DEEDS", 10)
    office.tell(*(request(f"{number}") for number in range(12)))
    (told,) = office.tell(Trail(TENANT))
    assert [deed.number for deed in told.deeds] == list(range(3, 13))
    assert (told.after.number, verify(told.deeds, told.head, told.after)) == (2, None)
    assert verify(told.deeds, told.head, Head(2, "another")) == "record 3 does not follow the one before it"


def test_it_does_not_grow_for_ever(
    office: Office, backend: MemoryBackend, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that runs for years."""
    monkeypatch.setattr(journal, "KEPT_DEEDS", 10)
    kept = backend.desk._journal
    sizes = []
    for _ in range(3):
        for number in range(20):
            key = KEY._replace(call_id=f"{clock.now()} {number}")
            office.ask(id=key.call_id, effect="allow")
            office.claim(key=key)
            office.done(key=key)
        sizes.append((len(kept._rows), len(kept._closed), len(kept._open)))
        clock.advance(KEPT)
    assert sizes == [(51, 40, 0)] * 3
