"""One visit: look, and if there is work, do it and say what was done."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.events import emit
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.guard import Update
from langgraph_guard.nodes.summarization.draft import Draft
from langgraph_guard.nodes.summarization.hosts import rewritten, way_of
from langgraph_guard.nodes.summarization.ladder import Ladder, Offload, Plan
from langgraph_guard.nodes.summarization.memo import KEY, Memo, memo_in, record_in
from langgraph_guard.nodes.summarization.reading import Pin, history_of, ids_are_unique, is_sound, text_of
from langgraph_guard.nodes.summarization.sizes import Sizes
from langgraph_guard.nodes.summarization.viewing import recorded, seen
from langgraph_guard.nodes.summarization.writer import Ask, Writer, Written
from langgraph_guard.policies.compaction import Waters
from langgraph_guard.state.views import opener, read
from langgraph_guard.tools.content.artifacts import READ_ARTIFACT, offload

VisitFlow = Generator[Sequence[Ask], list[Any], Update]

IRREDUCIBLE: Final = "context_irreducible"
"""The reason of a halt because what must stay is longer than what the model can read."""

ID_BYTES: Final = 6


@dataclass(frozen=True)
class Means:
    """What a node was given. `artifacts`: whether long results can be put aside; `offers`: what its owner said of that,
    if anything."""

    guard: str
    messages_key: str
    view: bool
    waters: Waters
    cap: int
    keep: int
    every: int | None
    sizes: Sizes
    writer: Writer
    artifacts: bool
    offers: bool | None
    pin: Pin | None
    clock: Clock


class Visit:
    """One visit of a node to a state."""

    def __init__(self, means: Means, state: Any, config: RunnableConfig) -> None:
        self._means = means
        self._state = state
        self._config = config
        self._history = history_of(state, means.messages_key)
        self._record = read(state, "guard_view") if means.view else None
        self._seen = seen(self._record, self._history)
        self._messages = self._seen.messages

    def flow(self) -> VisitFlow:
        sound = is_sound(self._messages)
        total = self._total()
        if sound and total <= self._means.waters.high and not self._may_be_due():
            return self._verdict(verdicts.OK)
        draft = Draft(self._messages, self._means.sizes, self._means.pin)
        overhead = max(total - draft.total(), 0)
        repaired = (0, 0) if sound else draft.repair()
        draft.forget()
        ladder = Ladder(
            draft,
            self._means.waters,
            overhead=overhead,
            keep=self._means.keep,
            cap=self._means.cap,
            offload=self._offload,
        )
        plan = ladder.climb(due=self._is_due(ladder))
        if not plan.fits:
            return self._halt(plan.needed)
        written = yield from self._summarize(draft, plan, overhead)
        if (needed := overhead + draft.total()) > self._means.waters.room:
            return self._halt(needed)
        self._tell(draft, plan, repaired, written, total, needed)
        return {**self._rewritten(draft, plan), **self._verdict(verdicts.OK)}

    # How long it is

    def _total(self) -> int:
        """What the next call is going to read. A report of the provider's from before the summary says nothing, and one
        that says less does not stand for what can be seen: its model may have read only a part of the history."""
        visible = self._means.sizes.total(self._messages)
        if self._is_stale():
            return visible + self._memo.overhead
        estimate = self._means.sizes.estimate(self._messages)
        return estimate if visible <= self._means.waters.room else max(estimate, visible)

    def _is_stale(self) -> bool:
        """Whether nobody reported usage since the summary was written."""
        stale = self._memo.stale
        if not stale:
            return False
        answers = (each for each in reversed(self._messages) if isinstance(each, AIMessage))
        newest = next((each for each in answers if each.id == stale or each.usage_metadata), None)
        return newest is not None and newest.id == stale

    @cached_property
    def _memo(self) -> Memo:
        return memo_in(next((m for m in self._messages if KEY in m.additional_kwargs and record_in(m)), None))

    def _may_be_due(self) -> bool:
        every = self._means.every
        return every is not None and sum(isinstance(each, AIMessage) for each in self._messages) >= every

    def _is_due(self, ladder: Ladder) -> bool:
        return self._means.every is not None and ladder.old_steps() >= self._means.every

    # The summary

    def _summarize(self, draft: Draft, plan: Plan, overhead: int) -> Generator[Sequence[Ask], list[Any], Written]:
        """Put the summary into the draft, as long as there is room for."""
        known = draft.summary_slot()
        memo = memo_in(draft.messages[known] if known is not None else None)
        written = Written(memo.summary, "none", "", 0)
        if plan.evicted:
            written = yield from self._means.writer.write(memo.summary, plan.evicted)
        elif known is None or overhead + draft.total() <= self._means.waters.room:
            return written
        slot = min((*plan.evicted, *(() if known is None else (known,))))
        if known is not None and known != slot:
            draft.put(known, None)
        memo = replace(memo, summary=written.summary, stale=_newest_answer(draft), overhead=overhead)
        if plan.evicted:
            upto = max(plan.evicted)
            kept = tuple(id for at in draft.alive() if slot < at < upto and (id := draft.given[at].id))
            newest = draft.given[upto].id if ids_are_unique(draft.given) else None
            memo = replace(memo, upto=newest or "", kept=kept)
        self._fit(draft, slot, memo, plan.summary, overhead)
        return written

    def _fit(self, draft: Draft, slot: int, memo: Memo, cap: int, overhead: int) -> None:
        summary = memo.summary
        while True:
            draft.put(slot, replace(memo, summary=summary).message(draft.given[slot].id))
            over = overhead + draft.total() - self._means.waters.room
            if over <= 0 or not summary.entries:
                return
            cap = min(cap, self._means.sizes.text(summary.render())) - over
            summary = summary.fitted(cap, self._means.sizes.text)

    # Results put aside

    @property
    def _offload(self) -> Offload | None:
        known = self._means.artifacts or (self._means.offers is None and bool(read(self._state, "guard_artifacts")))
        return self._put_aside if known else None

    def _put_aside(self, message: ToolMessage, most: int) -> tuple[BaseMessage, Any] | None:
        if message.name == READ_ARTIFACT:
            return None
        tool, call, now = message.name or "tool", message.tool_call_id or "", self._now_ms()
        # The same for the same message, so that a step which runs again keeps one artifact and not two.
        id = blake2b(f"{message.id}\0{call}".encode(errors="replace"), digest_size=ID_BYTES).hexdigest()
        aside = offload(text_of(message), id=id, tool=tool, call=call, limit=most, at=now, preview=most)
        return None if aside is None else (message.model_copy(update={"content": aside.preview}), aside.record)

    # What is said

    def _rewritten(self, draft: Draft, plan: Plan) -> Update:
        if not draft.changed():
            return {}
        aside = {"guard_artifacts": plan.artifacts} if plan.artifacts else {}
        if self._means.view:
            return {"guard_view": recorded(draft, self._seen, self._record, self._history), **aside}
        key = self._means.messages_key
        return {key: rewritten(draft, way_of(self._config, key)), **aside}

    def _verdict(self, verdict: verdicts.Verdict) -> Update:
        return verdicts.update(self._state, self._means.guard, verdict, self._turn(), self._now_ms())

    def _halt(self, needed: int) -> Update:
        """Nothing of the history is changed: somebody may raise the limit, or send a shorter message."""
        waters = self._means.waters
        emit("context.halted", guard=self._means.guard, limit=waters.limit, room=waters.room, needed=needed)
        detail = f"what must stay takes {needed:,} tokens, and {waters.room:,} of {waters.limit:,} are there for it"
        verdict = verdicts.Verdict("halt", IRREDUCIBLE, {"scope": "call", "limit": waters.limit, "detail": detail})
        said = self._verdict(verdict)
        return {**said, "guard_halt": said["guard_decisions"][0]} if said else {}

    def _turn(self) -> tuple[str, int]:
        """The turn's id and number, as a budget keeps them; without one, such that a later turn's halt outranks it."""
        known = read(self._state, "guard_turn") or {}
        id = known.get("id") or opener(self._history) or ""
        halt = read(self._state, "guard_halt") or {}
        return id, known.get("seq") or (halt.get("turn_seq") or 0) + (halt.get("turn") != id)

    def _now_ms(self) -> int:
        return round(self._means.clock.now() * 1_000)

    def _tell(
        self, draft: Draft, plan: Plan, repaired: tuple[int, int], written: Written, before: int, after: int
    ) -> None:
        guard = self._means.guard
        if any(repaired):
            emit("context.repaired", guard=guard, answers=repaired[0], calls=repaired[1])
        if written.reason:
            emit("context.fallback", guard=guard, reason=written.reason, calls=written.calls)
        if plan.evicted or plan.results or plan.arguments or plan.clipped or written.by != "none":
            emit(
                "context.compacted",
                guard=guard,
                mode="view" if self._means.view else "replace",
                before=before,
                after=after,
                limit=self._means.waters.limit,
                messages=len(plan.evicted),
                results=plan.results + plan.clipped,
                arguments=plan.arguments,
                by=written.by,
                calls=written.calls,
            )


def _newest_answer(draft: Draft) -> str:
    return next((each.id for each in reversed(draft.result()) if isinstance(each, AIMessage) and each.id), "")
