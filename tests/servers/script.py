"""What a provider is told to do: one vocabulary for every protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Tokens:
    """What a provider bills for one request. `input` and `output` are totals, the other counts are parts of them."""

    input: int
    output: int
    cache_read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0

    def within(self, cap: int | None) -> Tokens:
        """The same with an answer that ends at `cap`."""
        if cap is None or self.output <= cap:
            return self
        return replace(self, output=cap, reasoning=min(self.reasoning, cap), audio_out=min(self.audio_out, cap))


@dataclass(frozen=True)
class Reply:
    """One answer. Made by `says`, `calls` and `fails`; the other fields may be set with any of them.

    `wait`: seconds before the first byte. `pause`: seconds between the pieces of a stream. `cut`: pieces after which
    the connection drops. `broken`: pieces after which the stream says that something went wrong. `bills`: what is on
    the invoice; `reports`: what the answer says of it, `None` for nothing. `searches`: how often the provider searched
    the web before it answered.
    """

    text: str = ""
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    bills: Tokens | None = None
    reports: Tokens | Literal["bills"] | None = "bills"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    tier: str | None = None
    wait: float = 0.0
    pause: float = 0.0
    cut: int | None = None
    broken: int | None = None
    searches: int = 0

    def reported(self, cap: int | None) -> Tokens | None:
        tokens = self.bills if self.reports == "bills" else self.reports
        return tokens.within(cap) if tokens else None

    def ends_at(self, cap: int | None) -> bool:
        return self.bills is not None and self.bills.within(cap) != self.bills

    @property
    def pieces(self) -> list[str]:
        """The text, word by word."""
        return [f"{word} " for word in self.text.split()]


def says(text: str, bills: Tokens = Tokens(1_000, 50), **settings: Any) -> Reply:
    """An answer in words."""
    return Reply(text, bills=bills, **settings)


def calls(name: str, args: Mapping[str, Any], bills: Tokens = Tokens(1_000, 50), **settings: Any) -> Reply:
    """An answer that asks for a tool."""
    return Reply(settings.pop("text", ""), ((name, args),), bills, **settings)


def fails(status: int, *, bills: Tokens | None = None, retry_after: float | None = None, **settings: Any) -> Reply:
    """An error. A provider that breaks down half-way may still have it on its invoice: `bills`."""
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return Reply(bills=bills, status=status, headers=headers, **settings)
