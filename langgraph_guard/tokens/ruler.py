"""How to count for one family of models, with what this machine has."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from langchain_core.messages import BaseMessage

from langgraph_guard.tokens.chat import message_parts
from langgraph_guard.tokens.content import Part
from langgraph_guard.tokens.guess import guess_gauge
from langgraph_guard.tokens.loading import find_encoding, search_for
from langgraph_guard.tokens.models import Family, family_of
from langgraph_guard.tokens.tally import NOTHING, Tally
from langgraph_guard.tokens.text import Gauge, byte_length, exact_gauge
from langgraph_guard.tokens.tools import AROUND, WITH_SYSTEM, Schemas

if TYPE_CHECKING:
    from tiktoken import Encoding

GUESS_MARGIN: Final = 1.5
"""How far a count without vocabulary may be too low; base64 is the worst common case."""


@dataclass(frozen=True, slots=True)
class Ruler:
    """`vocabulary`: whether texts are counted with the family's encoding, or guessed."""

    family: Family
    gauge: Gauge
    vocabulary: bool

    @property
    def key(self) -> tuple[str, bool]:
        return self.family.name, self.vocabulary

    @property
    def exact(self) -> bool:
        return self.vocabulary and self.family.exact

    @property
    def margin(self) -> float:
        return self.family.margin if self.vocabulary else GUESS_MARGIN

    def text(self, text: str) -> Tally:
        if not text:
            return NOTHING
        found = self.gauge.count(text)
        tokens = min(found.most, math.ceil(found.tokens * self.family.scale))
        unsure = found.most - tokens if found.sampled and self.vocabulary else 0  # the margin of a guess covers it
        return Tally(tokens, found.most, unsure, 0 if self.exact and not found.sampled else 1)

    def parts(self, parts: Iterable[Part]) -> Tally:
        total = NOTHING
        for part in parts:
            if isinstance(part, str):
                total = total.plus(self.text(part))
            else:
                total = total.plus(Tally(part.tokens, part.most, 0, 0 if part.exact else 1))
        return total

    def message(self, message: BaseMessage) -> Tally:
        return self.parts(message_parts(message, self.family.images))

    def tools(self, schemas: Schemas) -> Tally:
        """Schemas as they stand in a message of their own."""
        if not schemas.json:
            return NOTHING
        shown = self.text(schemas.declarations).plus(self.text(schemas.others))
        likely, at_most = self.family.tools_prompt
        most = max(shown.most, byte_length(schemas.json)) + AROUND + at_most
        return Tally(shown.tokens + AROUND + likely, most, shown.unsure, 1)


JOINED: Final = Tally(WITH_SYSTEM, 0)
"""What the tools save when they join a system message."""


def ruler_for(model: str | None, *, allow_download: bool = False) -> Ruler:
    family = family_of(model)
    return _ruler(family, find_encoding(family.encoding, allow_download=allow_download))


async def search_for_ruler(model: str | None, *, allow_download: bool = False) -> None:
    """What `ruler_for` reads from this machine, read in a thread: after it, that one does not wait."""
    await search_for(family_of(model).encoding, allow_download=allow_download)


@lru_cache(maxsize=64)
def _ruler(family: Family, encoding: Encoding | None) -> Ruler:
    gauge = guess_gauge() if encoding is None else exact_gauge(encoding)
    return Ruler(family, gauge, encoding is not None)
