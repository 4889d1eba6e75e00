"""What each event says, in a few plain words: for whoever reads a tree or a row at 2 a.m. and has never seen one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from langgraph_guard.errors import show

Said = Mapping[str, Any]

OPENED: Final = {
    "failure_rate": "it failed too often",
    "slow_call_rate": "it is too slow",
    "rate_limited": "it had too many calls",
    "forced_open": "switched off by a person",
}
"""Why a circuit opened."""

REFUSED: Final = {
    "nobody": "needs a person's approval, and there is none: not run",
    "open": "nobody has decided yet: not run",
    "changed": "was approved with other arguments: not run",
}

FAILED: Final = {
    "circuit_open": "its circuit is open, not called",
    "validation": "wrong arguments, not called",
    "denied": "not allowed, not called",
    "timeout": "no answer in time",
    "rate_limit": "too many calls",
}

FOUND: Final = {
    "done": "already done, its stored result was used",
    "started": "begun before and not ended, not run again",
    "in_doubt": "in doubt, not run again",
}

ENDED: Final = {
    "failed": "it did not take effect",
    "in_doubt": "in doubt: it began, and nobody knows whether it took effect",
}

RECORDED: Final = {"error": "an error, answered from the recording", "success": "answered from the recording"}


def words(event: str, said: Said) -> list[str] | None:
    """What `event` said; `None` where there are no words for it, or its figures are those of another version."""
    say = _WORDS.get(event)
    if say is None:
        return None
    try:
        return [str(each) for each in say(said) if each]
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, OSError):
        return None


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


# Money and limits


def _amounts(said: Said) -> str:
    return f"{show(said['unit'], said['spent'])} of {show(said['unit'], said['limit'])} {_limit(said)}"


def _limit(said: Said) -> str:
    window = f" per {said['window']}" if said.get("window") else ""
    return f"per {said['scope']}{window}"


def _verdict(said: Said) -> list[str]:
    return [said["route"], _amounts(said) if said.get("unit") else ""]


def _waited(said: Said) -> list[str]:
    return [f"waited {said['seconds']:.1f} s for room in {said['unit']} {_limit(said)}"]


def _away(said: Said) -> list[str]:
    return [f"the ledger ({said['backend']}) does not answer: what its limits allow goes on by itself"]


def _back(said: Said) -> list[str]:
    return [
        f"the ledger answers again after {said['seconds']:.0f} s",
        f"{_many(said['charged'], 'call')} charged late",
        f"{said['lost']:,} lost" if said["lost"] else "",
    ]


# Circuits


def _transition(said: Said) -> list[str]:
    again = said.get("retry_at")
    why = OPENED.get(str(said.get("reason")), "") if said["after"] in ("open", "forced_open") else ""
    change = f"{said['key']}: {said['before']} → {said['after']}"
    return [f"{change}, {why}" if why else change, f"next try at {moment(again / 1_000)}" if again else ""]


def _refused(said: Said) -> list[str]:
    return [f"{said['key']} is {said['state']}", _again(said.get("retry_after"))]


def _again(seconds: float | None) -> str:
    return "" if seconds is None else f"again in {seconds:.0f} s"


def _registry(said: Said) -> list[str]:
    if said["reachable"]:
        return ["circuits are shared again"]
    return [f"circuits are not reachable ({said['error']}): this process decides by itself"]


# People


def _asked(said: Said) -> list[str]:
    who = "a person" if said["quorum"] == 1 else f"{said['quorum']} people"
    return [f"{said['tool']} waits for {who}"]


def _decided(said: Said) -> list[str]:
    how = "approved with other arguments" if said["decision"] == "edited" else said["decision"]
    quorum = said["quorum"]
    by = f" by {quorum} of {quorum}" if how.startswith("approved") and quorum > 1 else ""
    return [f"{said['tool']} {how}{by} after {_took(said)}"]


def _took(said: Said) -> str:
    seconds = said["seconds"]
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"


# Tools


def _claimed(said: Said) -> list[str]:
    return [f"{said['tool']}: written down before it runs, so that it runs once", _attempt(said["attempt"])]


def _attempt(number: int) -> str:
    return f"attempt {number}" if number > 1 else ""


def _of_tool(words_of: Mapping[str, str], key: str, or_else: str = "{}") -> Callable[[Said], list[str]]:
    def say(said: Said) -> list[str]:
        return [f"{said['tool']}: {words_of.get(said[key], or_else.format(said[key]))}"]

    return say


def _answered(said: Said) -> list[str]:
    kind = str(said.get("error_type") or said["status"])
    return [str(said["tool"] or "an unknown tool"), FAILED.get(kind, kind)]


def _cleaned(said: Said) -> list[str]:
    kinds = ", ".join(map(str, said.get("kinds") or ()))
    parts = _many(said["count"], "hidden or suspicious part")
    return [f"{said['tool']}: {parts} in its result{f' ({kinds})' if kinds else ''}"]


def _offloaded(said: Said) -> list[str]:
    return [f"{said['tool']}: {said['chars']:,} characters put aside, the model reads {said['shown']:,}"]


# Context


def _repaired(said: Said) -> list[str]:
    answers, calls = said["answers"], said["calls"]
    return [
        f"{_many(answers, 'answer')} without a call" if answers else "",
        f"{_many(calls, 'call')} without an answer" if calls else "",
        "put right",
    ]


def _compacted(said: Said) -> list[str]:
    by = "" if said["by"] == "none" else f"summary by {said['by']}"
    return [
        f"{said['before']:,} → {said['after']:,} tokens of {said['limit']:,}",
        f"{_many(said['messages'], 'message')} summed up" if said["messages"] else "",
        by,
    ]


def _halted(said: Said) -> list[str]:
    return [f"what must stay takes {said['needed']:,} tokens, and {said['room']:,} of {said['limit']:,} are there"]


def _finished(said: Said) -> list[str]:
    closed, by = said.get("closed_calls"), "by a model" if said.get("by_model") else "without a model"
    return [
        f"ended: {said['status']}",
        f"answer written {by}",
        f"{_many(closed, 'open call')} closed" if closed else "",
    ]


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


_WORDS: Final[Mapping[str, Callable[[Said], list[str]]]] = {
    "budget.verdict": _verdict,
    "budget.settled": lambda said: ["tools"],
    "budget.denied": lambda said: [_amounts(said), f"{show(said['unit'], said['requested'])} asked for"],
    "budget.waited": _waited,
    "budget.away": _away,
    "budget.back": _back,
    "breaker.transition": _transition,
    "breaker.refused": _refused,
    "breaker.registry": _registry,
    "approval.asked": _asked,
    "approval.decided": _decided,
    "approval.expired": lambda said: [f"{said['tool']}: nobody decided in time, not run"],
    "effect.claimed": _claimed,
    "effect.ended": _of_tool(ENDED, "state"),
    "effect.found": _of_tool(FOUND, "state", "{}, not run again"),
    "effect.refused": _of_tool(REFUSED, "reason", "was {}, not run"),
    "tool.answered": _answered,
    "tool.retried": lambda said: [f"{said['tool']}: {said['error_type']}", f"again after {said['pause']:.1f} s"],
    "tool.replayed": _of_tool(RECORDED, "status"),
    "tool.cleaned": _cleaned,
    "tool.offloaded": _offloaded,
    "loop.found": lambda said: [f"{said['kind']} call of {said['tool']}, {said['count']} times → {said['rung']}"],
    "context.repaired": _repaired,
    "context.compacted": _compacted,
    "context.fallback": lambda said: [f"a summary without the model: {said['reason']}"],
    "context.halted": _halted,
    "run.finished": _finished,
    "interrupt": lambda said: ["waiting"],
}
