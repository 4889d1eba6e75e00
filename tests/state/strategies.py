"""Values of the `guard_` keys for Hypothesis, from small domains so that records often meet their like."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

AMOUNTS = st.integers(0, 5)
IDS = st.sampled_from(["", "a", "b", "c"])
UNITS = st.dictionaries(st.sampled_from(["usd", "tokens", "model_calls"]), AMOUNTS)


def _any_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Records that know some of `fields`, and {}: an update may leave out what it does not know."""
    return st.fixed_dictionaries({}, optional=fields)


TURNS = _any_of(
    id=IDS,
    seq=AMOUNTS,
    opened_at=AMOUNTS,
    active_ms=AMOUNTS,
    steps=AMOUNTS,
    last_step=AMOUNTS,
    cycle=AMOUNTS,
    seen=st.lists(IDS, max_size=8),
)
USAGES: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {"session": UNITS, "turn": UNITS, "turn_id": IDS, "turn_seq": AMOUNTS}
)
ASKED = _any_of(
    id=IDS, guard=IDS, calls=st.dictionaries(IDS, st.just("search"), max_size=2), open=st.booleans(), at=AMOUNTS
)
VERDICTS = st.dictionaries(st.sampled_from(["budget", "loop"]), _any_of(route=IDS, reason=IDS, turn=IDS, at=AMOUNTS))
DECISIONS = _any_of(
    id=IDS,
    guard=IDS,
    route=IDS,
    window=st.none() | st.just("day"),
    limit=AMOUNTS,
    retry_after=st.none() | st.floats(0, 5),
    turn=IDS,
    turn_seq=AMOUNTS,
    at=AMOUNTS,
)
HALTS = DECISIONS
CALL_VERDICTS = _any_of(
    verdict=st.sampled_from(["refuse", "note"]), message=IDS, retry_at=st.none() | AMOUNTS, at=AMOUNTS
)
CALLS = st.dictionaries(IDS, st.dictionaries(st.sampled_from(["breaker", "loop"]), CALL_VERDICTS, min_size=1))
TOOLS = st.dictionaries(
    st.sampled_from(["search", "pay"]),
    st.fixed_dictionaries(
        {"calls": st.lists(IDS), "repairs": st.lists(IDS, max_size=3), "turn": IDS, "turn_seq": AMOUNTS}
    ),
)
ARTIFACTS = _any_of(id=IDS, tool=IDS, call=IDS, text=IDS, chars=AMOUNTS, at=AMOUNTS)
LOOPS: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {
        "turn": IDS,
        "turn_seq": AMOUNTS,
        "calls": st.dictionaries(IDS, _any_of(round=AMOUNTS, tool=IDS, exact=IDS, result=IDS)),
        "told": st.dictionaries(IDS, _any_of(rung=st.sampled_from(["nudge", "block", "halt"]), round=AMOUNTS)),
    }
)
VIEWS = _any_of(
    count=AMOUNTS,
    upto=AMOUNTS,
    mark=IDS,
    hidden=st.lists(st.lists(AMOUNTS, min_size=2, max_size=2), max_size=2),
    changed=st.dictionaries(IDS, st.fixed_dictionaries({"type": IDS, "data": st.just({})}), max_size=2),
)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "guard_turn": TURNS,
    "guard_usage": USAGES,
    "guard_asked": st.lists(ASKED, max_size=4),
    "guard_verdicts": VERDICTS,
    "guard_decisions": st.lists(DECISIONS, max_size=4),
    "guard_halt": HALTS,
    "guard_calls": CALLS,
    "guard_tools": TOOLS,
    "guard_artifacts": st.lists(ARTIFACTS, max_size=4),
    "guard_taint": st.lists(IDS),
    "guard_loops": LOOPS,
    "guard_view": VIEWS,
}
"""Updates of each key, as nodes write them."""

FULL_TURN = {
    "id": "human-2",
    "seq": 2,
    "opened_at": 1_760_000_000_000,
    "active_ms": 1_200,
    "steps": 6,
    "last_step": 9,
    "cycle": 3,
    "seen": ["human-1"],
}
FULL_DECISION = {
    "id": "6f1c",
    "guard": "budget",
    "route": "exceeded",
    "reason": "limit_cost",
    "unit": "usd",
    "scope": "session",
    "window": None,
    "limit": 2**53 - 1,
    "spent": 499_310,
    "reserved": 0,
    "requested": 1_200,
    "retry_after": 0.1,
    "turn": "human-2",
    "turn_seq": 2,
    "at": 1_760_000_001_200,
}
FULL_STATE: dict[str, Any] = {
    "guard_turn": FULL_TURN,
    "guard_usage": {"session": {"usd": 499_310}, "turn": {"usd": 120}, "turn_id": "human-2", "turn_seq": 2},
    "guard_asked": [
        {"id": "7a30", "guard": "budget", "calls": {"call-1": "search"}, "open": False, "at": 1_760_000_001_100}
    ],
    "guard_verdicts": {"budget": {"route": "exceeded", "reason": "limit_cost", "turn": "human-2", "at": 1}},
    "guard_decisions": [FULL_DECISION],
    "guard_halt": FULL_DECISION,
    "guard_calls": {
        "call-1": {
            "breaker": {
                "verdict": "refuse",
                "error_type": "circuit_open",
                "message": "search is not called before 02:17:30",
                "retry_at": 1_760_000_030_000,
                "at": 1_760_000_001_200,
            }
        }
    },
    "guard_tools": {"search": {"calls": ["call-0"], "repairs": ["call-2"], "turn": "human-2", "turn_seq": 2}},
    "guard_artifacts": [
        {"id": "a1", "tool": "search", "call": "call-0", "text": "…", "chars": 1, "at": 1_760_000_001_200}
    ],
    "guard_taint": ["search"],
    "guard_loops": {
        "turn": "human-2",
        "turn_seq": 2,
        "calls": {
            "0a1b-0000": {
                "round": 1,
                "tool": "search",
                "exact": "5d41402abc4b",
                "near": "2a76b9719d91",
                "shape": "1017c592bc4b",
                "result": "!timeout",
            }
        },
        "told": {"search": {"rung": "nudge", "round": 1}},
    },
    "guard_view": {
        "count": 2,
        "upto": 12,
        "mark": "human-1|12|ai-6",
        "hidden": [[2, 9]],
        "changed": {"1": {"type": "human", "data": {"content": "…", "type": "human", "id": "ai-1"}}},
    },
}
"""One value of every key with every field."""
