"""The desk again, as a file clerk would do it: a folder per request, and a logbook.

It shares the commands with the real one, and not a line of its rules. Folders change in place, and whatever depends on
time is asked anew each time; there are no rows, no writes and no hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from langgraph_guard.policies.approval.commands import Decide, Look, Pending, Request, Sweep, Withdraw
from langgraph_guard.policies.approval.rules import Requirement

Said: TypeAlias = tuple[Any, ...]
"""A reply without what is a backend's own affair."""

OUTCOMES: Final = {"approve": "approved", "edit": "approved", "reject": "rejected", "respond": "responded"}


@dataclass
class Folder:
    """A request: what it is about now, who agrees to that, and how it was closed, if it was."""

    asked: Request
    at: float
    about: tuple[str, str]
    """The text and the digest of the action."""
    agree: list[str] = field(default_factory=list)
    outcome: str = ""
    closed_by: list[str] = field(default_factory=list)
    closed_at: float | None = None
    remark: str = ""
    counted: dict[tuple[str, ...], bool] = field(default_factory=dict)
    """What was said in which answer, and whether it counted."""

    @property
    def rule(self) -> Requirement:
        return self.asked.requirement or Requirement()

    def is_over(self, now: float) -> bool:
        return not self.outcome and self.rule.ttl is not None and now >= self.at + self.rule.ttl

    def close(self, outcome: str, by: list[str], at: float, remark: str = "") -> None:
        self.outcome, self.closed_by, self.closed_at, self.remark = outcome, by, at, remark


class Cabinet:
    """What a desk must answer."""

    def __init__(self) -> None:
        self.folders: dict[tuple[str, str], Folder] = {}
        self.logbook: dict[str, list[Said]] = {}

    def _log(self, tenant: str, kind: str, subject: str, by: str, digest: str, detail: str = "") -> None:
        self.logbook.setdefault(tenant, []).append((kind, subject, by, digest, detail))

    def _request(self, command: Request, now: float) -> Said:
        name = (command.tenant, command.id)
        if name in self.folders:
            self._notice(name, now)
        else:
            folder = self.folders[name] = Folder(command, now, (command.args, command.digest))
            kind = {"allow": "allowed", "deny": "denied", "require": "requested"}[command.effect]
            if command.effect != "require":
                folder.close(kind, [], now)
            self._log(command.tenant, kind, command.id, command.requested_by, command.digest)
        return self._show(name, now)

    def _decide(self, command: Decide, now: float) -> Said:
        name = (command.tenant, command.id)
        folder = self.folders.get(name)
        if folder is None:
            return ("none",)
        self._notice(name, now)
        word = (command.source, command.type, command.new_digest, command.message)
        if command.source and word in folder.counted:
            problem = "" if folder.counted[word] else "it was said before, and did not count"
        elif folder.outcome:
            problem = self._too_late(folder, command)
        else:
            problem = self._objection(folder, command)
            if command.source:
                folder.counted[word] = not problem
            if not problem:
                self._heed(folder, command, now)
        return ("decided", problem, self._show(name, now))

    def _too_late(self, folder: Folder, command: Decide) -> str:
        if folder.outcome == "expired":
            return "its time is over"
        if folder.outcome == "withdrawn":
            return "it was withdrawn: its run went on without it"
        means = command.new_digest if command.type == "edit" else command.digest
        if (OUTCOMES[command.type], means) == (folder.outcome, folder.about[1]) and command.by in folder.closed_by:
            return ""
        return f"it was {folder.outcome} already, by {' and '.join(folder.closed_by) or 'the rules'}"

    def _objection(self, folder: Folder, command: Decide) -> str:
        rule, seen = folder.rule, folder.about[1]
        means = command.new_digest if command.type == "edit" else command.digest
        repeats = command.type in ("approve", "edit") and means == seen and command.by in folder.agree
        strict = rule.quorum > 1 or rule.separation_of_duties or rule.reviewers or rule.roles
        changes = command.type == "edit" and command.new_digest != seen
        invited = not (rule.reviewers or rule.roles) or command.by in rule.reviewers
        invited = invited or any(role in rule.roles for role in command.roles)
        objections: list[tuple[Any, str]] = [
            (command.by == "", "nobody says who decides"),
            (command.by == "anonymous" and strict, "it matters who decides, and nobody says who it was"),
            (not invited, "this request is for other reviewers"),
            (
                rule.separation_of_duties and folder.asked.requested_by in ("", command.by),
                "whoever asked for it may not decide it",
            ),
            (
                command.type not in rule.allowed_decisions,
                f"{command.type} is not among the decisions that are allowed",
            ),
            (command.digest != seen and not repeats, "the action is another than the one that was seen"),
            (
                command.type == "edit" and not changes and "approve" not in rule.allowed_decisions,
                "an edit that changes nothing is an approval, which is not among the decisions that are allowed",
            ),
        ]
        return next((problem for objects, problem in objections if objects), "")

    def _heed(self, folder: Folder, command: Decide, now: float) -> None:
        """A word that counts."""
        log = (command.tenant, command.id, command.by)
        if command.type in ("reject", "respond"):
            folder.close(OUTCOMES[command.type], [command.by], now, command.message)
            self._log(log[0], folder.outcome, log[1], log[2], folder.about[1], command.type)
            return
        if command.type == "edit" and command.new_digest != folder.about[1]:
            folder.about, folder.agree = (command.args, command.new_digest), []
        if command.by in folder.agree:
            return
        folder.agree.append(command.by)
        if len(folder.agree) >= folder.rule.quorum:
            folder.close("approved", list(folder.agree), now, command.message)
        self._log(log[0], folder.outcome or "voted", log[1], log[2], folder.about[1], command.type)

    def _notice(self, name: tuple[str, str], now: float) -> bool:
        """Write down that its time is over, if it is."""
        folder = self.folders[name]
        if not folder.is_over(now):
            return False
        folder.close("expired", [], now)
        self._log(name[0], "expired", name[1], "", folder.about[1])
        return True

    def _withdraw(self, command: Withdraw, now: float) -> Said:
        name = (command.tenant, command.id)
        if name not in self.folders:
            return ("none",)
        self._notice(name, now)
        folder = self.folders[name]
        if folder.outcome in ("", "allowed", "approved"):
            folder.close("withdrawn", [], now, folder.remark)
            self._log(name[0], "withdrawn", name[1], "", folder.about[1])
        return self._show(name, now)

    def _look(self, command: Look, now: float) -> Said:
        names = [(command.tenant, id) for id in command.ids]
        return tuple(self._show(name, now) if name in self.folders else ("none",) for name in names)

    def _sweep(self, command: Sweep, now: float) -> Said:
        return ("count", sum(self._notice(name, now) for name in list(self.folders) if name[0] == command.tenant))

    def _pending(self, command: Pending, now: float) -> Said:
        last = self.folders.get((command.tenant, command.after))
        open_ = sorted(
            (folder.at, id)
            for (tenant, id), folder in self.folders.items()
            if (tenant, folder.outcome) == (command.tenant, "") and not folder.is_over(now)
        )
        left = [id for place in open_ for id in place[1:] if last is None or place > (last.at, command.after)]
        return tuple(self._show((command.tenant, id), now) for id in left[: command.count])

    def _show(self, name: tuple[str, str], now: float) -> Said:
        folder = self.folders[name]
        over, needs_people = folder.is_over(now), folder.asked.effect == "require"
        return (
            *name,
            folder.asked.digest,
            *folder.about,
            "expired" if over else folder.outcome or "pending",
            tuple(folder.agree),
            tuple(folder.closed_by),
            now if over else folder.closed_at if needs_people or folder.outcome == "withdrawn" else None,
            folder.remark,
            folder.at,
            len(folder.counted),
        )
