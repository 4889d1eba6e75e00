"""`SummarizationNode`: before a model reads, it looks how long that is, and shortens what is too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

from langgraph_guard.backends.memory import MemoryBackend
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes.counting import prompt_size
from langgraph_guard.nodes.guard import Guard, Update, in_config
from langgraph_guard.nodes.summarization import settings
from langgraph_guard.nodes.summarization.asking import Summarizer
from langgraph_guard.nodes.summarization.memo import memo_in, record_in
from langgraph_guard.nodes.summarization.reading import Pin, history_of
from langgraph_guard.nodes.summarization.sizes import Sizes
from langgraph_guard.nodes.summarization.viewing import seen
from langgraph_guard.nodes.summarization.visit import Means, Visit
from langgraph_guard.nodes.summarization.writer import Ask, Writer
from langgraph_guard.policies.compaction.summary import Summary
from langgraph_guard.state.views import peek, read
from langgraph_guard.tokens import PromptCounter
from langgraph_guard.tools.breaker import CircuitBreaker

KEEP = 4
TIMEOUT = 60.0


class SummarizationNode(Guard):
    """Keeps the context of a model within `max_tokens`. Stands before the model. `.route` says `ok` or `halt`.

    Above `trigger` of `max_tokens` it shortens the history down to `target`: long results of tools first, then the
    arguments of old calls, then the oldest messages leave for a summary. It cuts only between messages that belong
    together, and never alters system messages at the front, the first and the last message of a person, calls that wait
    for their answer (or for an approval), and what `pin(message)` holds true for. After it, what is counted fits
    `max_tokens` without `reserve`; where that cannot be, the history stays as it is and the route is `halt`
    (`context_irreducible`). Only to avoid that, the first message of a person is shortened, if there is a later one.
    A history that providers refuse, because calls and answers do not match, is repaired on the way.

    `model` writes the summary, best `budget.model(cheap)`. It reads the summary as it stands and the messages that
    leave, in pieces that fit its `window`, and answers with changes; what they do not touch stays. Without a model, and
    when it fails, is denied, or answers nonsense, the summary is put together from what the messages say. A sync call
    ends after `timeout` seconds if its client knows time-outs; an async one in any case.

    `max_tokens`: a number, or the agent's own model if it has a profile; by default `model`'s profile. `reserve`: what
    is left to the answer. `keep`: the newest messages, with the results of their calls, that only a full context moves.
    `every_n_steps`: summarize whenever so many old steps are there, too. `summary_tokens`: the summary's cap.
    `tools`: what the agent's model is offered, to be counted. `artifacts`: whether long results are put into
    `guard_artifacts`, to be read with `read_artifact`; by default if that tool is among `tools`, or there are any.

    `mode="replace"`: the summary takes the place of the first message that it stands for, and the others are removed by
    their ids; a reducer that cannot remove is overwritten, so nothing else may write messages in that superstep. Nor
    may anything else remove messages in it: LangGraph raises an error where a message is removed twice.
    `mode="view"`: the messages stay, `guard_view` says how to see them, and the model node reads `summary.view(state)`.
    There is one `guard_view` in a graph: nodes of this mode that look at different messages keys do not get along.
    In a subgraph, the graph around it keeps what was removed inside, and hands it in again: that is dropped unread.
    Where a provider compacts by itself, leave that to it and set its threshold below `trigger`.
    """

    passing = ("ok",)
    stopping = ("halt",)

    def __init__(
        self,
        model: Runnable[Any, Any] | None = None,
        *,
        max_tokens: int | Runnable[Any, Any] | None = None,
        reserve: int | None = None,
        trigger: float = 0.8,
        target: float = 0.5,
        keep: int = KEEP,
        mode: Literal["replace", "view"] = "replace",
        every_n_steps: int | None = None,
        summary_tokens: int | None = None,
        window: int | None = None,
        timeout: float | None = TIMEOUT,
        breaker: CircuitBreaker | None = None,
        tools: Sequence[Any] = (),
        artifacts: bool | None = None,
        count: PromptCounter | None = None,
        pin: Pin | None = None,
        name: str = "summary",
        messages_key: str = "messages",
    ) -> None:
        super().__init__(name, messages_key)
        settings.check_others(model, mode, timeout, breaker, pin, every_n_steps)
        settings.check_count("keep", keep, 0)
        waters = settings.waters(model, max_tokens, reserve, trigger, target)
        cap = settings.cap_of(summary_tokens, waters)
        prompt_size(count)  # refuses what cannot count
        sizes = Sizes(count, settings.model_name(max_tokens), tools)
        breaker = breaker or CircuitBreaker(MemoryBackend(), name="summarizer")
        self._summarizer = Summarizer(model, breaker, timeout) if model is not None else None
        self.mode = mode
        self._means = Means(
            guard=name,
            messages_key=messages_key,
            view=mode == "view",
            waters=waters,
            cap=cap,
            keep=keep,
            every=every_n_steps,
            sizes=sizes,
            writer=Writer(sizes, cap, settings.window_of(self._summarizer, window, waters)),
            artifacts=settings.reads_artifacts(tools) if artifacts is None else artifacts,
            offers=artifacts,
            pin=pin,
            clock=breaker.clock,
        )

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        config = in_config(config)

        def execute(batch: Sequence[Ask]) -> list[Any]:
            assert self._summarizer is not None
            return [self._summarizer.ask(ask, config) for ask in batch]

        return run(Visit(self._means, input, config).flow(), execute)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        config = in_config(config)

        async def execute(batch: Sequence[Ask]) -> list[Any]:
            assert self._summarizer is not None
            return [await self._summarizer.aask(ask, config) for ask in batch]

        await self._means.sizes.ready()
        return await arun(Visit(self._means, input, config).flow(), execute)

    def view(self, state: Any) -> list[BaseMessage]:
        """The messages as the model is to read them. Within a node of the graph, the node's own state is enough."""
        record = read(state, "guard_view")
        if record is None and self.mode == "view":
            record = peek(ensure_config(), "guard_view").get("guard_view")
        messages = history_of(state, self.messages_key)
        return seen(record, messages).messages if self.mode == "view" else messages

    def summary(self, state: Any) -> Summary | None:
        """What the summary remembers, as entries; `None` while there is none."""
        found = next((each for each in self.view(state) if record_in(each) is not None), None)
        return None if found is None else memo_in(found).summary
