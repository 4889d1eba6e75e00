"""What a look at a server found, in words: is it fit for what is to live on it?

report = saver.check()
print(report)                    # the worst first
report.raise_if_unusable()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from langgraph_guard.errors import StoreError, StoreRefused

Level: TypeAlias = Literal["error", "warning", "ok"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `says` is what is so, and what to do about it."""

    level: Level
    name: str
    says: str


@dataclass(frozen=True)
class Report:
    """What `check()` found."""

    findings: tuple[Finding, ...]
    store: str
    failure: StoreError | None = field(default=None, repr=False, compare=False)
    """What ended the check before its time."""

    @property
    def ok(self) -> bool:
        """Whether one can work with this server. Warnings do not keep anyone from that."""
        return not self.of("error")

    def of(self, level: Level) -> list[Finding]:
        return [each for each in self.findings if each.level == level]

    def raise_if_unusable(self) -> None:
        """Raise what ended the check, as `StoreUnavailable`; and `StoreRefused` for every other error."""
        if self.failure is not None and not isinstance(self.failure, StoreRefused):
            raise self.failure
        if not self.ok:
            raise StoreRefused(self.store, "check", " ".join(each.says for each in self.of("error"))) from self.failure

    def __str__(self) -> str:
        width = max((len(each.name) for each in self.findings), default=0)
        worst_first = [*self.of("error"), *self.of("warning"), *self.of("ok")]
        return "\n".join(f"{each.level:<8} {each.name:<{width}}  {each.says}" for each in worst_first)
