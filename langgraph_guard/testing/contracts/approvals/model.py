"""The desk and the outbox again, as simple as it gets: a folder per request, a job per execution, a logbook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_guard.policies.approval.chain import Deed
from langgraph_guard.policies.approval.commands import Approval, Decided, Told
from langgraph_guard.policies.outbox import (
    Claim,
    Claimed,
    Done,
    Doubt,
    Doubts,
    EffectKey,
    Execution,
    Extend,
    Failed,
    LookUp,
    Resolve,
    Unapproved,
)
from langgraph_guard.testing.contracts.approvals.folders import Cabinet, Folder, Said

MONTH: Final = 30 * 24 * 60 * 60


@dataclass
class Job:
    """An execution: each attempt is [owner, until when, what became of it, with what result, under which request]."""

    attempts: list[list[Any]] = field(default_factory=list)
    closed_at: float | None = None

    def stands(self, now: float) -> str:
        _, until, became, _, _ = self.attempts[-1]
        return became or ("in_doubt" if now >= until else "started")


def _is_old(kept: Folder | Job, now: float) -> bool:
    return kept.closed_at is not None and now >= kept.closed_at + MONTH


class Model(Cabinet):
    """What a desk and an outbox must answer."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[EffectKey, Job] = {}

    def tell(self, command: Any, now: float) -> Said:
        self._burn(now)
        answer: Callable[[Any, float], Said] = getattr(self, f"_{type(command).__name__.lower()}")
        return answer(command, now)

    def _burn(self, now: float) -> None:
        """What was closed a month ago."""
        self.folders = {name: folder for name, folder in self.folders.items() if not _is_old(folder, now)}
        self.jobs = {key: job for key, job in self.jobs.items() if not _is_old(job, now)}

    def _claim(self, command: Claim, now: float) -> Said:
        job = self.jobs.get(command.key)
        if job is not None and job.stands(now) != "failed":
            if job.stands(now) == "started" and job.attempts[-1][0] == command.owner:
                return ("claimed", len(job.attempts))
            self._doubt(command.key, now)
            return self._job(command.key, now)
        name = (command.key.tenant, command.approval)
        folder = self.folders.get(name)
        if folder is None and command.required:
            return ("unapproved", ("none",))
        if folder is not None:
            good = folder.outcome in ("allowed", "approved")
            about = (folder.asked.thread, folder.asked.call_id, folder.about[1])
            if not good or about != (command.key.thread, command.key.call_id, command.key.digest):
                return ("unapproved", self._show(name, now))
        job = self.jobs.setdefault(command.key, Job())
        job.attempts.append([command.owner, now + command.lease, "", "", command.approval])
        job.closed_at = None
        self._note(command.key, "started")
        return ("claimed", len(job.attempts))

    def _done(self, command: Done, now: float) -> Said:
        return ("said", self._end(command.key, command.fence, "done", command.result, now))

    def _failed(self, command: Failed, now: float) -> Said:
        return ("said", self._end(command.key, command.fence, "in_doubt" if command.happened else "failed", "", now))

    def _end(self, key: EffectKey, fence: int, became: str, result: str, now: float) -> bool:
        job = self.jobs.get(key)
        if job is None or fence != len(job.attempts):
            return False
        stands = job.stands(now)
        if became == "in_doubt" and stands == "in_doubt":
            self._doubt(key, now)
            return True
        if stands == "done" or (stands == "failed" and became != "done"):
            return (stands, job.attempts[-1][3]) == (became, result)
        if became == "in_doubt":
            job.attempts[-1][1] = min(job.attempts[-1][1], now)
        job.attempts[-1][2:4] = [became, result]
        job.closed_at = now if became != "in_doubt" else None
        self._note(key, became)
        return True

    def _extend(self, command: Extend, now: float) -> Said:
        job = self.jobs.get(command.key)
        ours = job is not None and command.fence == len(job.attempts) and job.stands(now) == "started"
        if job is not None and ours:
            job.attempts[-1][1] = max(job.attempts[-1][1], now + command.lease)
        return ("said", ours)

    def _resolve(self, command: Resolve, now: float) -> Said:
        job = self.jobs.get(command.key)
        if job is not None and job.stands(now) == "in_doubt":
            became = "failed" if command.result is None else "done"
            job.attempts[-1][2:4] = [became, command.result or ""]
            job.closed_at = now
            told = (command.key.idempotency_key, command.by, command.key.digest, command.reason)
            self._log(command.key.tenant, f"resolved_{became}", *told)
        return self._job(command.key, now)

    def _lookup(self, command: LookUp, now: float) -> Said:
        return self._job(command.key, now)

    def _doubts(self, command: Doubts, now: float) -> Said:
        doubtful = [
            (f"{job.attempts[-1][1]:026.9f} {key.idempotency_key}", key)
            for key, job in self.jobs.items()
            if key.tenant == command.tenant and job.stands(now) == "in_doubt"
        ]
        behind = sorted(each for each in doubtful if each[0] > command.after)
        return tuple(("doubt", *key, self._job(key, now)) for _, key in behind[: command.count])

    def _doubt(self, key: EffectKey, now: float) -> None:
        """Write down that its lease has ended, if it has."""
        attempt = self.jobs[key].attempts[-1]
        if not attempt[2] and now >= attempt[1]:
            attempt[2] = "in_doubt"
            self._note(key, "in_doubt")

    def _note(self, key: EffectKey, kind: str) -> None:
        owner, _, _, _, approval = self.jobs[key].attempts[-1]
        self._log(key.tenant, kind, key.idempotency_key, owner, key.digest, approval)

    def _job(self, key: EffectKey, now: float) -> Said:
        job = self.jobs.get(key)
        if job is None:
            return ("none",)
        owner, until, _, result, approval = job.attempts[-1]
        return ("job", job.stands(now), owner, len(job.attempts), until, result, approval)


def said(reply: Any) -> Said:
    """A backend's reply in the model's words."""
    match reply:
        case None:
            return ("none",)
        case bool():
            return ("said", reply)
        case int():
            return ("count", reply)
        case Claimed():
            return ("claimed", reply.fence)
        case Unapproved():
            return ("unapproved", said(reply.approval))
        case Decided():
            assert reply.won == (not reply.problem)
            return ("decided", reply.problem, said(reply.approval))
        case Doubt():
            return ("doubt", *reply.key, said(reply.execution))
        case Execution():
            return ("job", *reply[:3], reply.ends_at, reply.result, reply.approval)
        case Approval():
            return _approval(reply)
        case _:
            return tuple(said(each) for each in reply)


def told(trail: Told) -> list[Said]:
    """A trail in the model's words."""
    return [_deed(deed) for deed in trail.deeds]


def _deed(deed: Deed) -> Said:
    return (deed.kind, deed.subject, deed.by, deed.digest, deed.detail)


def _approval(approval: Approval) -> Said:
    return (
        approval.tenant,
        approval.id,
        approval.first_digest,
        approval.args,
        approval.digest,
        approval.state,
        tuple(vote.by for vote in approval.votes),
        approval.decided_by,
        approval.decided_at,
        approval.message,
        approval.at,
        len(approval.heard),
    )
