"""What a backend offers, and nothing about how."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol, runtime_checkable

from langgraph_guard.policies.approval.commands import DeskCommand, DeskReply
from langgraph_guard.policies.breaker import commands as breaking
from langgraph_guard.policies.ledger import Command, Reply
from langgraph_guard.policies.outbox import OutboxCommand, OutboxReply


@runtime_checkable
class Clock(Protocol):
    """Time in seconds since the epoch, and waiting for it. `langgraph_guard.testing.FakeClock` is one."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...
    async def asleep(self, seconds: float) -> None: ...


@runtime_checkable
class WakingClock(Clock, Protocol):
    """A clock on which a sleeper can be woken. On any other, whoever waits for room sleeps to the end.

    Both return whether somebody put something into `woken`, or set it, before `seconds` had passed.
    """

    def sleep_until(self, woken: SimpleQueue[None], seconds: float) -> bool: ...
    async def asleep_until(self, woken: asyncio.Event, seconds: float) -> bool: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def sleep_until(self, woken: SimpleQueue[None], seconds: float) -> bool:
        with suppress(Empty):
            woken.get(timeout=seconds)
            return True
        return False

    async def asleep_until(self, woken: asyncio.Event, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await woken.wait()
        return False


@runtime_checkable
class BudgetLedger(Protocol):
    """Two-phase accounts shared by everyone who may spend. `policies/ledger.py` has the commands and their rules.

    Each command is atomic and idempotent, so a caller that lost the answer sends it again. Commands of a batch run in
    order and are not atomic together. Raises `ReservationConflict` for an id used in two ways, `InvalidAmount` for a
    figure that is none, `BudgetUnavailable` when there is no answer; after each of them nothing was written.
    `instant`: every command but `Wait` is answered from memory, so async code may call `execute`.
    """

    @property
    def instant(self) -> bool: ...

    def execute(self, commands: Sequence[Command]) -> list[Reply]: ...
    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]: ...


@runtime_checkable
class BreakerRegistry(Protocol):
    """Circuits shared by everyone who calls the same services. `policies/breaker/` has the commands and their rules.

    Each command is atomic; commands of a batch run in order and are not atomic together. A key names its tenant, and
    none reaches another's. Raises `StoreError` when there is no answer; a caller then decides by itself.
    `instant`: every command is answered from memory, so async code may call `execute`.
    """

    @property
    def instant(self) -> bool: ...

    def execute(self, commands: Sequence[breaking.Command]) -> list[breaking.Reply]: ...
    async def aexecute(self, commands: Sequence[breaking.Command]) -> list[breaking.Reply]: ...


@runtime_checkable
class Backend(Protocol):
    """One place that workers share, seen by one tenant."""

    @property
    def tenant(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def ledger(self) -> BudgetLedger: ...
    @property
    def breakers(self) -> BreakerRegistry: ...


@runtime_checkable
class ApprovalDesk(Protocol):
    """Requests that people decide, and the record of it. `policies/approval/` has the commands and their rules.

    Each command is atomic and idempotent. Raises `StoreError` when there is no answer, and `ConfigError` with the name
    of a field that is wrong, before anything of the batch is done; nothing runs then.
    """

    @property
    def instant(self) -> bool: ...

    def execute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]: ...
    async def aexecute(self, commands: Sequence[DeskCommand]) -> list[DeskReply]: ...


@runtime_checkable
class Outbox(Protocol):
    """Executions that happen at most once. `policies/outbox.py` has the commands and their rules.

    Each command is atomic and idempotent. Raises `StoreError` when there is no answer, and `ConfigError` with the name
    of a field that is wrong, before anything of the batch is done; nothing runs then.
    """

    @property
    def instant(self) -> bool: ...

    def execute(self, commands: Sequence[OutboxCommand]) -> list[OutboxReply]: ...
    async def aexecute(self, commands: Sequence[OutboxCommand]) -> list[OutboxReply]: ...


@runtime_checkable
class ApprovalBackend(Backend, Protocol):
    """A backend that also has a desk and an outbox, on one chain of deeds."""

    @property
    def desk(self) -> ApprovalDesk: ...
    @property
    def outbox(self) -> Outbox: ...
