"""A message as the policy sees it: without its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["system", "human", "ai", "tool", "other"]


@dataclass(frozen=True, slots=True)
class Item:
    """`asks`: ids of the tool calls of an `ai` message, "" for one without. `answers`: the id that a `tool` message
    answers. `ours`: written as a person would, and by no person (a summary, a nudge). `pinned`: its owner wants it
    kept."""

    kind: Kind
    asks: tuple[str, ...] = ()
    answers: str = ""
    ours: bool = False
    pinned: bool = False

    @property
    def by_a_person(self) -> bool:
        return self.kind == "human" and not self.ours
