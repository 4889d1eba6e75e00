"""What a model's name tells about how it counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from langgraph_guard.tokens.encodings import EncodingName
from langgraph_guard.tokens.images import ImageRule, Patches, Tiles

ANY_IMAGE: Final = Patches(28, 1_600)


@dataclass(frozen=True, slots=True)
class Family:
    """Models that count alike.

    `exact`: `encoding` is the models' own; otherwise it is the nearest that exists, `scale` brings its counts to the
    middle of what these models report, and `margin` to the top. `tools_prompt`: what the provider writes around
    tool schemas, likely and at most.
    """

    name: str
    encoding: EncodingName = "o200k_base"
    exact: bool = False
    scale: float = 1.0
    margin: float = 1.5
    images: ImageRule = ANY_IMAGE
    tools_prompt: tuple[int, int] = (0, 0)


OTHER: Final = Family("other")

_TILES: Final = Tiles(85, 170)
_CLAUDE_TOOLS: Final = (346, 530)  # Anthropic's table of tool use system prompts: current models, and the highest.


def _openai(name: str, images: ImageRule, encoding: EncodingName = "o200k_base") -> Family:
    return Family(name, encoding, exact=True, margin=1.02, images=images)


def _claude(name: str, images: ImageRule) -> Family:
    # The newest Claude models make about 30 % more tokens of a text than their elders, and have no public tokenizer.
    return Family(name, scale=1.35, margin=1.12, images=images, tools_prompt=_CLAUDE_TOOLS)


FAMILIES: Final = tuple(
    (re.compile(rf"(?<![a-z0-9]){pattern}"), family)
    for pattern, family in (
        ("gpt-4o-mini", _openai("gpt-4o-mini", Tiles(2_833, 5_667))),
        ("(?:gpt-4o|chatgpt-4o|gpt-4[.]5)", _openai("gpt-4o", _TILES)),
        ("gpt-4[.]1-mini", _openai("gpt-4.1-mini", Patches(32, 1_536, 1.62))),
        ("gpt-4[.]1-nano", _openai("gpt-4.1-nano", Patches(32, 1_536, 2.46))),
        ("gpt-4[.][1-9]", _openai("gpt-4.1", _TILES)),
        ("(?:gpt-4(?![0-9])|gpt-3[.]?5)", _openai("gpt-4", _TILES, "cl100k_base")),
        ("gpt-5-mini", _openai("gpt-5-mini", Patches(32, 1_536, 1.62))),
        ("gpt-5-nano", _openai("gpt-5-nano", Patches(32, 1_536, 2.46))),
        ("gpt-5(?![.0-9])", _openai("gpt-5", Tiles(70, 140))),
        ("(?:gpt-[5-9]|gpt-[1-9][0-9]|gpt-oss)", _openai("gpt", Patches(32, 2_500))),
        ("(?<![-.])o4-mini", _openai("o4-mini", Patches(32, 1_536, 1.72))),
        ("(?<![-.])o[1-9](?![a-z0-9])", _openai("o", Tiles(75, 150))),
        ("claude-(?:instant|[23]|(?:opus|sonnet|haiku)-4(?!-[7-9]))", _claude("claude-4", Patches(28, 1_600))),
        ("claude", _claude("claude", Patches(28, 4_784))),
        ("gemini", Family("gemini", images=Patches(768, 18, 258))),
    )
)
"""The first pattern that a name contains decides: providers write things before it (`openai/`, `ft:`, `us.`)."""


@lru_cache(maxsize=1_024)
def family_of(model: str | None) -> Family:
    name = (model or "").lower()
    return next((family for pattern, family in FAMILIES if pattern.search(name)), OTHER)


def differ(asked: str | None, answered: str | None) -> bool:
    """Whether two names are certainly of different models: both known, and not one model's at two dates."""
    if not asked or not answered or OTHER in (family_of(asked), family_of(answered)):
        return False
    return _bare(asked) != _bare(answered)


_RELEASE: Final = re.compile(r"(?:-latest|-preview.*|-v[0-9]+|-0|-[0-9]{4}-[0-9]{2}-[0-9]{2}|-[0-9]{8}|-[0-9]{4})+$")


def _bare(model: str) -> str:
    """The model without what providers write before it, and without its release."""
    name = model.lower()
    start = next(match.start() for pattern, _ in FAMILIES if (match := pattern.search(name)))
    return _RELEASE.sub("", re.split("[:@]", name[start:])[0])
