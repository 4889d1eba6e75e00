"""`TokenCounter`: how big a prompt is, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.messages.utils import MessageLikeRepresentation

from langgraph_guard.errors import ConfigError
from langgraph_guard.tokens.anchor import Anchor, Anchors, Prompt
from langgraph_guard.tokens.chat import REPLY
from langgraph_guard.tokens.fingerprint import digest, fingerprint, opening
from langgraph_guard.tokens.history import History, as_messages
from langgraph_guard.tokens.recent import Recent
from langgraph_guard.tokens.ruler import JOINED, Ruler, ruler_for, search_for_ruler
from langgraph_guard.tokens.tally import NOTHING, Tally
from langgraph_guard.tokens.text import byte_length, count_up_to
from langgraph_guard.tokens.tools import schemas_of

Messages: TypeAlias = Iterable[MessageLikeRepresentation] | BaseMessage
"""A prompt; a text or a message by itself is one, too."""
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
        if margin is not None and not (isinstance(margin, (int, float)) and margin >= 1):
            raise ConfigError("margin", "must be a number, 1 or more")
        if model is not None and not isinstance(model, str):
            raise ConfigError("model", f"must be a model's name, is a {type(model).__name__}")
        self.model = model
        self.allow_download = allow_download
        self.margin = margin
        self._messages: Recent[tuple[Any, ...], Tally] = Recent(MESSAGES)
        self._histories: Recent[tuple[Any, ...], History] = Recent(CONVERSATIONS)
        self._tools: Recent[tuple[Any, ...], _Tools] = Recent(TOOLS)
        self._anchors = Anchors()

    def __call__(self, messages: Messages, tools: Sequence[Any] | None = (), *, model: str | None = None) -> int:
        """Tokens of these messages and the schemas of `tools`, as the whole of a prompt."""
        return _total(self._prompt(messages, tools, model, self._ruler(model))).tokens

    async def ready(self, model: str | None = None) -> None:
        """Look for the vocabulary now, in a thread: so that the first count does not keep an event loop waiting."""
        await search_for_ruler(model or self.model, allow_download=self.allow_download)

    def estimate(self, messages: Messages, tools: Sequence[Any] | None = (), model: str | None = None) -> TokenEstimate:
        """What a call with this prompt will read. Name the `model` when the prompt is about to be sent to it, and leave
        it out for a look at a state."""
        return self._estimate(messages, tools, model, sent_to=model)

    def reserve(self, messages: Messages, tools: Sequence[Any] | None = (), *, model: str | None = None) -> int:
        """What to hold for a call with this prompt."""
        return self._estimate(messages, tools, model, sent_to=model or self.model or "").reserve

    def _estimate(
        self, messages: Messages, tools: Sequence[Any] | None, model: str | None, *, sent_to: str | None
    ) -> TokenEstimate:
        ruler = self._ruler(model)
        prompt = self._prompt(messages, tools, model, ruler, sent_to)
        anchor = self._anchors.newest(prompt)
        self._anchors.counted(prompt)
        margin = self.margin or ruler.margin
        return _local(prompt, ruler, margin) if anchor is None else _anchored(prompt, anchor, margin)

    def fits(
        self, messages: Messages, limit: int, tools: Sequence[Any] | None = (), *, model: str | None = None
    ) -> bool:
        """Whether a call with this prompt will read `limit` tokens or fewer. A text that is longer than all of that
        is left as soon as it is certain."""
        found = as_messages(_listed(messages))
        ruler = self._ruler(model)
        if any(self._passes_alone(ruler, message, limit) for message in found):
            return False
        return self.estimate(found, tools, model).total <= limit

    def _passes_alone(self, ruler: Ruler, message: BaseMessage, limit: int) -> bool:
        """Whether a message that was not counted yet is certain to pass `limit` by its text."""
        text = message.content
        if not isinstance(text, str) or len(text) * 4 <= limit or byte_length(text) <= limit:
            return False
        known = self._messages.get((ruler.key, fingerprint(message)))
        return known is None and count_up_to(text, limit, ruler.gauge.measure) > limit

    def _ruler(self, model: str | None) -> Ruler:
        return ruler_for(model or self.model, allow_download=self.allow_download)

    def _prompt(
        self,
        messages: Messages,
        tools: Sequence[Any] | None,
        model: str | None,
        ruler: Ruler,
        sent_to: str | None = None,
    ) -> Prompt:
        found = _listed(messages)
        if found and not isinstance(found[0], BaseMessage):
            found = as_messages(found)
        system = list(takewhile(lambda message: isinstance(message, SystemMessage), found))
        del found[: len(system)]
        fixed = self._fixed(ruler, system, tools or ())
        return Prompt(found, self._history(ruler, found), fixed, model or self.model, sent_to)

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

    def _history(self, ruler: Ruler, body: list[Any]) -> History:
        if not body:
            return History()

        def weigh(said: bytes, message: BaseMessage) -> Tally:
            return self._weigh(ruler, said, message)

        [first] = as_messages(body[:1])
        key = (ruler.key, first.id or opening(first))
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


def _listed(messages: Messages) -> list[Any]:
    return [messages] if isinstance(messages, (str, BaseMessage)) else list(messages)


def _total(prompt: Prompt) -> Tally:
    """All that can be seen, and the reply that follows."""
    total = prompt.fixed.plus(prompt.history.total)
    return total.plus(_REPLY) if total.most else total


def _local(prompt: Prompt, ruler: Ruler, margin: float) -> TokenEstimate:
    found = _total(prompt)
    source: Source = "tiktoken" if ruler.vocabulary else "estimate"
    return TokenEstimate(found.tokens, found.most, source, found.guesses == 0, found.reserve(margin))


def _anchored(prompt: Prompt, anchor: Anchor, margin: float) -> TokenEstimate:
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
