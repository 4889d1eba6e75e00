"""What there is to see: requests that wait, one of them, the log, and whether the log is whole."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice
from typing import Final

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.cli.approvals import screen, store
from langgraph_guard.cli.approvals.screen import Screen
from langgraph_guard.policies.approval.chain import Head

MOST: Final = 50
"""Requests that people are shown when they ask for no number of them."""


def show_list(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    top = said.top or (None if said.json else MOST)
    one_more = None if top is None else top + 1  # or nobody knows that there are more
    found = list(islice(store.waiting(backend, said.thread), one_more))
    shown.show([screen.as_json(each) for each in found[:top]], screen.listed(found, top))
    return 0


def show_one(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    found = store.found(backend, said.id)
    shown.show(screen.as_json(found), screen.request(found, said.full))
    return 0


def show_log(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    deeds = store.log(backend, said.after).deeds[-said.top :]
    shown.show([deed._asdict() for deed in deeds], screen.records(deeds))
    return 0


def verify(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    """Prints the head of a log that is whole: kept elsewhere, it shows later that nothing was cut off or rewritten."""
    log = store.log(backend)
    problem = log.problem
    if problem is None and said.head is not None and not log.has(said.head):
        problem = f"it does not contain record {said.head.number} as it ended with it then"
    if problem is not None:
        shown.show({"whole": False, "problem": problem}, f"the log is broken: {problem}")
        return 1
    told = {"whole": True, "records": log.head.number, "kept_after": log.after.number, "head": head(log.head)}
    kept = f"; those up to {log.after.number} are no longer kept" if log.after.number else ""
    shown.show(told, f"the log is whole: {log.head.number} records{kept}", f"head {head(log.head)}")
    return 0


def head(found: Head) -> str:
    return f"{found.number}:{found.hash}"
