"""What the model and the user are told about a loop. Tool names and figures, never arguments or results."""

from __future__ import annotations

from langgraph_guard.policies.loops.detectors import Finding
from langgraph_guard.policies.loops.ladder import Step

_INSTEAD = "use what you have, try something else, or say that it is not available."


def message(step: Step) -> str:
    """For the model, beside a result or in the place of one."""
    if step.rung == "nudge":
        return f"{_sentence(step.finding)} {_advice(step.finding)}"
    return f"{_sentence(step.finding)} {_names(step.finding)} is not available for the rest of this turn."


def detail(finding: Finding) -> str:
    """Why a run was stopped, as a clause for its user."""
    tools, count = _names(finding), finding.count
    match finding.kind:
        case "identical":
            return f"{tools} was called {count} times with the same arguments and brought nothing new"
        case "similar":
            return f"{tools} was called {count} times with nearly the same arguments and brought nothing new"
        case "cycle":
            return f"the calls of {tools} went in a circle, {count} times"
        case "retrace":
            return f"{count} steps in a row repeated calls that had been made, {tools} last"
        case "unchanged":
            return f"{tools} gave the same answer {count} times in a row"
        case "blocked":
            return f"{tools} was asked for again after it was blocked"


def _sentence(finding: Finding) -> str:
    tools, count = _names(finding), finding.count
    match finding.kind:
        case "identical":
            return f"You have called {tools} with the same arguments {count} times; it brings nothing new."
        case "similar":
            return f"You have called {tools} with nearly the same arguments {count} times and got the same answer."
        case "cycle":
            return f"You go in a circle: the same calls of {tools}, {count} times now, with the same answers."
        case "retrace":
            return f"Your last {count} messages, {tools} last, repeat calls that you have made, with the same answers."
        case "unchanged":
            return f"{tools} has given the same answer {count - 1} times in a row."
        case "blocked":
            return f"You have asked for {tools} again."


def _advice(finding: Finding) -> str:
    if not finding.firm:
        return f"If you expected that, go on; if not, {_INSTEAD}"
    if finding.kind == "identical":
        return f"Do not repeat this call: {_INSTEAD}"
    return f"Do not go on like this: {_INSTEAD}"


def _names(finding: Finding) -> str:
    *most, last = sorted(finding.tools)
    return f"{', '.join(most)} and {last}" if most else last
