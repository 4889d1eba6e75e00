"""Refusing: what is no command is refused with the field's name, on every store alike, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.approval.commands import Look, Pending, Sweep, Trail, Withdraw
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claim, Done, Doubts, EffectKey, Extend, Failed, LookUp, Resolve
from langgraph_guard.testing.contracts.approvals.harness import KEY, TENANT, Harness, Office, decide, request

HALF: Final = "half a pair \ud83e"
LONG: Final = "x" * 10_000
NUMBERS: Final[tuple[Any, ...]] = (0, -1, float("nan"), float("inf"), 1e300, True, "5", None)


def any_of(*values: Any) -> tuple[Any, ...]:
    """Of whatever type."""
    return values


DESK: Final[list[tuple[str, Any]]] = [
    *(("id", request(id=wrong)) for wrong in any_of("", None, 7, b"a1", HALF, LONG)),
    *(("tenant", request(tenant=wrong)) for wrong in any_of(None, 7, HALF, LONG)),
    *(("thread", request(thread=wrong)) for wrong in any_of(None, 7, HALF, LONG)),
    ("ns", request(ns=None)),
    ("call_id", request(call_id=None)),
    *(("tool", request(tool=wrong)) for wrong in any_of("", None)),
    *(("args", request(args=wrong)) for wrong in any_of(None, {}, "x" * 16_000_001)),
    *(("digest", request(digest=wrong)) for wrong in any_of("", None)),
    *(("effect", request(effect=wrong)) for wrong in any_of("", None, "maybe")),
    ("reason", request(reason="x" * 100_001)),
    ("requested_by", request(requested_by=None)),
    ("requirement", request(requirement=("approve",))),
    *(("ttl", request(requirement=Requirement(ttl=wrong))) for wrong in NUMBERS[:-1]),
    *(("quorum", request(requirement=Requirement(quorum=wrong))) for wrong in any_of(0, -1, 1.5, True, "2", 10**9)),
    *(("allowed_decisions", request(requirement=Requirement(wrong))) for wrong in any_of((), ("maybe",), "approve")),
    *(("reviewers", request(requirement=Requirement(reviewers=wrong))) for wrong in any_of("ann", (7,), ["ann"])),
    ("roles", request(requirement=Requirement(roles=(HALF,)))),
    ("separation_of_duties", request(requirement=Requirement(separation_of_duties=1))),  # type: ignore[arg-type]
    ("description", request(requirement=Requirement(description=None))),  # type: ignore[arg-type]
    *(("id", decide(id=wrong)) for wrong in any_of("", None, LONG)),
    *(("by", decide(by=wrong)) for wrong in any_of(None, 7, HALF, LONG)),
    *(("type", decide(kind=wrong)) for wrong in any_of(None, "", "maybe", True)),
    ("digest", decide(digest=None)),
    ("new_digest", decide(new_digest=None)),
    ("source", decide(source=None)),
    *(("roles", decide(roles=wrong)) for wrong in any_of("boss", None, (None,), ("r",) * 1_001)),
    *(("message", decide(message=wrong)) for wrong in any_of(None, HALF, "x" * 100_001)),
    *(("ids", Look(TENANT, wrong)) for wrong in any_of("a1", None, (None,), ("a",) * 1_001)),
    ("tenant", Look(None, ("a1",))),  # type: ignore[arg-type]
    *(("count", Pending(TENANT, count=wrong)) for wrong in any_of(0, -1, 10_001, 1.0, True, None)),
    ("thread", Pending(TENANT, thread=7)),  # type: ignore[arg-type]
    ("after", Pending(TENANT, after=None)),  # type: ignore[arg-type]
    *(("id", Withdraw(TENANT, wrong)) for wrong in any_of("", None, HALF, LONG)),
    ("tenant", Withdraw(None, "a1")),  # type: ignore[arg-type]
    ("tenant", Sweep(None)),  # type: ignore[arg-type]
    *(("after", Trail(TENANT, wrong)) for wrong in any_of(-1, 2**53, 1.0, True, None, "1")),
    *(("count", Trail(TENANT, count=wrong)) for wrong in any_of(0, 10_001, None)),
    ("command", LookUp(KEY)),
    ("command", None),
]

OUTBOX: Final[list[tuple[str, Any]]] = [
    *(("key", LookUp(wrong)) for wrong in any_of(None, tuple(KEY), "k")),
    *(
        (field, LookUp(KEY._replace(**{field: wrong})))
        for field in EffectKey._fields
        for wrong in any_of(None, 7, HALF)
    ),
    ("digest", LookUp(KEY._replace(digest=""))),
    ("call_id", LookUp(KEY._replace(call_id=LONG))),
    *(("owner", Claim(KEY, wrong)) for wrong in any_of("", None, 7, HALF, LONG)),
    *(("lease", Claim(KEY, "w", wrong)) for wrong in NUMBERS),
    ("approval", Claim(KEY, "w", approval=None)),  # type: ignore[arg-type]
    ("required", Claim(KEY, "w", required=None)),  # type: ignore[arg-type]
    *(("fence", Done(KEY, wrong, "")) for wrong in any_of(-1, 1.0, True, None, "1", 2**53)),
    *(("result", Done(KEY, 1, wrong)) for wrong in any_of(None, 7, b"", {}, HALF, "x" * 16_000_001)),
    ("fence", Failed(KEY, None, True)),  # type: ignore[arg-type]
    *(("happened", Failed(KEY, 1, wrong)) for wrong in any_of(None, 0, "no")),
    ("fence", Extend(KEY, None)),  # type: ignore[arg-type]
    *(("lease", Extend(KEY, 1, wrong)) for wrong in NUMBERS),
    *(("by", Resolve(KEY, wrong, None)) for wrong in any_of("", None, 7)),
    *(("result", Resolve(KEY, "ann", wrong)) for wrong in any_of(7, b"", HALF)),
    *(("reason", Resolve(KEY, "ann", None, wrong)) for wrong in any_of(None, HALF, "x" * 1_001)),
    *(("tenant", Doubts(wrong)) for wrong in any_of(None, 7, HALF, LONG)),
    *(("after", Doubts(TENANT, wrong)) for wrong in any_of(None, 7, " ", "c1", f"{0:026.9f} {'f' * 31}g")),
    *(("count", Doubts(TENANT, count=wrong)) for wrong in any_of(0, -1, 10_001, 1.0, True, None)),
]


class Refusing(Harness):
    """The first moment is the best one to be told."""

    def test_a_desk_refuses_what_is_no_command(self, office: Office) -> None:
        """Nothing of the batch is done either, and no content is quoted."""
        assert [_refused(office.tell, request(), command) for _, command in DESK] == [field for field, _ in DESK]
        assert (office.approval(), office.kinds()) == (None, [])

    def test_an_outbox_refuses_what_is_no_command(self, office: Office) -> None:
        """Nothing runs then."""
        begin = Claim(KEY, "w1")
        assert [_refused(office.do, begin, command) for _, command in OUTBOX] == [field for field, _ in OUTBOX]
        assert (office.execution(), office.kinds()) == (None, [])


def _refused(send: Callable[..., Any], *commands: Any) -> str:
    """The field that is named."""
    with pytest.raises(ConfigError) as caught:
        send(*commands)
    assert len(str(caught.value)) < 200
    return caught.value.field
