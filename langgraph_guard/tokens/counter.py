"""`TokenCounter`: how big a prompt is, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, cast

from langchain_core.messages import BaseMessage, SystemMessage, convert_to_messages
from langchain_core.messages.utils import MessageLikeRepresentation

from langgraph_guard.errors import ConfigError
from langgraph_guard.tokens.anchor import Anchor, Anchors
from langgraph_guard.tokens.chat import REPLY
from langgraph_guard.tokens.fingerprint import digest, fingerprint
from langgraph_guard.tokens.history import History
from langgraph_guard.tokens.recent import Recent
from langgraph_guard.tokens.ruler import JOINED, Ruler, ruler_for
from langgraph_guard.tokens.tally import NOTHING, Tally
from langgraph_guard.tokens.text import byte_length, count_up_to
from langgraph_guard.tokens.tools import schemas_of

Messages: TypeAlias = Iterable[MessageLikeRepresentation]
Source: TypeAlias = Literal["usage+tail", "tiktoken", "estimate"]

MESSAGES: Final = 32_768
CONVERSATIONS: Final = 128
TOOLS: Final = 256
LONGEST: Final = 2_000_000
"""Bytes of a conversation whose running total is kept; of a longer one, only the counts of its messages are."""

_REPLY: Final = Tally(REPLY, REPLY)


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """What a model will read.

    `source`: `usage+tail` when the provider's last report is the base and only what came after it was counted;
    `tiktoken` when all was counted with a vocabulary; `estimate` without one. `exact`: nothing was estimated.
    `upper_bound`: no tokenizer makes more of what can be seen. `reserve`: what to hold for the call, between the two.
    """

    total: int
    upper_bound: int
    source: Source
    exact: bool
    reserve: int


class PromptCounter(Protocol):
    """Tokens of a prompt, for the model that the caller names."""

    def __call__(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] = (), *, model: str | None = None
    ) -> int: ...


class TokenCounter:
    """Counts the tokens of messages: offline, each message once, never failing on what a user may have typed.

    Called, it says what the messages are by themselves, which is what `trim_messages(token_counter=…)` wants.
    `estimate` and `reserve` say what the next call will read: they know what the provider last reported.

    `model`: whose tokens, unless a call names another. `allow_download`: fetch the vocabulary when it is not on this
    machine. `margin`: what `reserve` multiplies counts with, in the place of what fits the model; `math.inf` reserves
    the upper bound. One counter may serve any number of threads and conversations.
    """

    def __init__(self, model: str | None = None, *, allow_download: bool = False, margin: float | None = None) -> None:
        if margin is not None and not margin >= 1:
            raise ConfigError("margin", f"must be 1 or more, is {margin}")
        self.model = model
        self.allow_download = allow_download
        self.margin = margin
        self._messages: Recent[tuple[Any, ...], Tally] = Recent(MESSAGES)
        self._histories: Recent[tuple[Any, ...], History] = Recent(CONVERSATIONS)
        self._tools: Recent[tuple[Any, ...], _Tools] = Recent(TOOLS)
        self._anchors = Anchors()

    def __call__(self, messages: Messages, tools: Sequence[Any] | None = (), *, model: str | None = None) -> int:
        """Tokens of these messages and the schemas of `tools`, as the whole of a prompt."""
        return self._prompt(messages, tools, model).local.tokens

    def estimate(self, messages: Messages, tools: Sequence[Any] | None = (), model: str | None = None) -> TokenEstimate:
        """What a call with this prompt will read."""
        prompt = self._prompt(messages, tools, model)
        anchor = self._anchors.newest(prompt.history, prompt.body, prompt.fixed, prompt.model)
        self._anchors.counted(prompt.history.chain[-1], prompt.model, prompt.fixed.tokens)
        margin = self.margin or prompt.ruler.margin
        return _local(prompt, margin) if anchor is None else _anchored(prompt, anchor, margin)

    def reserve(self, messages: Messages, tools: Sequence[Any] | None = (), *, model: str | None = None) -> int:
        """What to hold for a call with this prompt."""
        return self.estimate(messages, tools, model).reserve

    def fits(
        self, messages: Messages, limit: int, tools: Sequence[Any] | None = (), *, model: str | None = None
    ) -> bool:
        """Whether a call with this prompt will read `limit` tokens or fewer. A text that is longer than all of that
        is left as soon as it is certain."""
        messages = _messages(messages)
        gauge = ruler_for(model or self.model, allow_download=self.allow_download).gauge
        for message in messages:
            said = message.content
            if isinstance(said, str) and len(said) * 4 > limit and byte_length(said) > limit:
                if count_up_to(said, limit, gauge.measure) > limit:
                    return False
        return self.estimate(messages, tools, model).total <= limit

    def _prompt(self, messages: Messages, tools: Sequence[Any] | None, model: str | None) -> _Prompt:
        found = _messages(messages)
        model = model or self.model
        ruler = ruler_for(model, allow_download=self.allow_download)
        system = list(takewhile(lambda message: isinstance(message, SystemMessage), found))
        body = found[len(system) :]
        return _Prompt(model, ruler, body, self._fixed(ruler, system, tools or ()), self._history(ruler, body))

    def _fixed(self, ruler: Ruler, system: list[BaseMessage], tools: Sequence[Any]) -> Tally:
        """System messages at the front, and tools: what stands around the conversation."""
        total = NOTHING
        if tools:
            total = self._weigh_tools(ruler, tools)
            if system:
                system = [_with_line_break(system[0]), *system[1:]]
                total = total.plus(JOINED)
        for message in system:
            total = total.plus(self._weigh(ruler, fingerprint(message), message))
        return total

    def _history(self, ruler: Ruler, body: list[BaseMessage]) -> History:
        if not body:
            return History()

        def weigh(said: bytes, message: BaseMessage) -> Tally:
            return self._weigh(ruler, said, message)

        key = (ruler.key, body[0].id or fingerprint(body[0]))
        before = self._histories.get(key) or History()
        history = before.continued(body, weigh)
        if history is not before and history.total.most <= LONGEST and not history.begins(before):
            self._histories.put(key, history)
        return history

    def _weigh(self, ruler: Ruler, said: bytes, message: BaseMessage) -> Tally:
        key = (ruler.key, said)
        known = self._messages.get(key)
        if known is None:
            known = ruler.message(message)
            self._messages.put(key, known)
        return known

    def _weigh_tools(self, ruler: Ruler, tools: Sequence[Any]) -> Tally:
        plain = all(isinstance(tool, dict) for tool in tools)
        said = digest(list(tools)) if plain else tuple(map(id, tools))
        known = self._tools.get((ruler.key, said))
        if known is None:
            known = _Tools(tuple(tools), ruler.tools(schemas_of(tools)))
            self._tools.put((ruler.key, said), known)
        return known.tally


class _Tools(NamedTuple):
    """Tools and their count. Holding the tools keeps their ids theirs."""

    tools: tuple[Any, ...]
    tally: Tally


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A prompt, counted by itself."""

    model: str | None
    ruler: Ruler
    body: list[BaseMessage]
    fixed: Tally
    history: History

    @property
    def local(self) -> Tally:
        total = self.fixed.plus(self.history.total)
        return total.plus(_REPLY) if total.most else total


def _local(prompt: _Prompt, margin: float) -> TokenEstimate:
    found = prompt.local
    source: Source = "tiktoken" if prompt.ruler.vocabulary else "estimate"
    return TokenEstimate(found.tokens, found.most, source, found.guesses == 0, found.reserve(margin))


def _anchored(prompt: _Prompt, anchor: Anchor, margin: float) -> TokenEstimate:
    """The report, what came after its answer, and what stands around the messages more than it did then."""
    history, report = prompt.history, anchor.report
    new = history.total.minus(history.sums[anchor.at + 1]).plus(_REPLY)
    if anchor.fixed is not None and (grown := prompt.fixed.tokens - anchor.fixed) > 0:
        new = new.plus(Tally(grown, prompt.fixed.most, 0, prompt.fixed.guesses))
    return TokenEstimate(
        total=report.context + new.tokens,
        upper_bound=report.most + new.most,
        source="usage+tail",
        exact=new.guesses == 0,
        reserve=report.context + new.reserve(margin),
    )


def _messages(messages: Messages) -> list[BaseMessage]:
    found = list(messages)
    if all(isinstance(message, BaseMessage) for message in found):
        return cast(list[BaseMessage], found)
    return convert_to_messages(found)


def _with_line_break(message: BaseMessage) -> BaseMessage:
    """Where tools join a system message, they begin on a line of their own."""
    said = message.content
    return message.model_copy(update={"content": f"{said}\n"}) if isinstance(said, str) else message


_default = TokenCounter()


def count_tokens(messages: Messages, *, model: str | None = None, tools: Sequence[Any] | None = None) -> int:
    """Tokens of `messages` and the schemas of `tools` for `model`, counted on this machine.

    Exact for OpenAI's models when a vocabulary is found, and an estimate otherwise: `TokenCounter(model).estimate(…)`
    says which, and knows what the provider reported.
    """
    return _default(messages, tools, model=model)
