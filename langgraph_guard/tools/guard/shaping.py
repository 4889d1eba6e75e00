"""From what a tool gave back to what the model reads: validated, chosen, ordered, cleaned, offloaded, fenced, noted."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, Final

from langchain_core.messages import ToolMessage
from pydantic import ValidationError

from langgraph_guard.events import emit
from langgraph_guard.tools.content.artifacts import READ_ARTIFACT, offload
from langgraph_guard.tools.content.binary import bytes_in, described
from langgraph_guard.tools.content.blocks import on_texts
from langgraph_guard.tools.content.cleaning import NonceInText, clean, fence, suspicions
from langgraph_guard.tools.content.reading import NOT_JSON, UnreadableResult, parsed
from langgraph_guard.tools.content.select import ordered, select
from langgraph_guard.tools.contracts.contract import ToolContract
from langgraph_guard.tools.guard import checks
from langgraph_guard.tools.guard.answer import Answer, messages_changed, replace_message, result_in
from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.results.result import ToolResult

NONCE_BYTES: Final = 8

Change = Callable[[str], str]


class Shaper:
    """Shapes results for one guard. `limit`: characters from which a text is offloaded; `None`: never."""

    def __init__(self, limit: int | None, messages_key: str) -> None:
        self.limit = limit
        self._messages_key = messages_key

    def shape(self, call: GuardedCall, found: Answer) -> Any:
        """The output that LangGraph gets. What is too big, or not trusted, is noted in `call.news`."""
        shapes = {"tool": self._result, "failure": failed, "guard": noted}
        return messages_changed(found.output, partial(shapes[found.by], call), self._messages_key)

    def _result(self, call: GuardedCall, message: ToolMessage) -> ToolMessage:
        """What the tool itself said."""
        message = on_text(message, _readable)
        if call.contract is not None and message.status != "error":
            message = contracted(call, call.contract, message)
        strange = stranger(call, message)
        if strange:
            message = cleaned(call, strange, message)
        kept: list[Any] = []
        message = self._offloaded(call, message, kept)
        if strange:
            message = on_text(message, partial(_fenced, strange, bool(kept) or call.name == READ_ARTIFACT))
        return noted(call, message)

    def _offloaded(self, call: GuardedCall, message: ToolMessage, kept: list[Any]) -> ToolMessage:
        own = call.contract.max_result_chars if call.contract is not None else None
        limit = own or self.limit
        if limit is None or call.name == READ_ARTIFACT:
            return message
        shorter = on_text(message, partial(_put_aside, call, limit, kept))
        if kept:
            call.news["guard_artifacts"] = kept
            shorter = replace_message(shorter, artifact=_without_data(message.artifact))
        return shorter


def failed(call: GuardedCall, message: ToolMessage) -> ToolMessage:
    """What the guard says of what the tool raised: strangers may have worded the reason."""
    strange = stranger(call, message)
    return noted(call, cleaned(call, strange, message) if strange else message)


def cleaned(call: GuardedCall, strange: str, message: ToolMessage) -> ToolMessage:
    """`message` without what hides in it, and the state told that strangers had a say."""
    call.news["guard_taint"] = [strange]
    return on_text(message, partial(_cleaned, call))


def stranger(call: GuardedCall, message: ToolMessage) -> str:
    """The tool by which strangers wrote the message, or the artifact that it shows a part of; "" when none did."""
    if call.contract is not None and call.contract.trust == "untrusted":
        return call.name
    told = message.artifact if call.name == READ_ARTIFACT and isinstance(message.artifact, dict) else {}
    source = str(told.get("tool"))
    return source if source in (call.known.get("guard_taint") or ()) else ""


def contracted(call: GuardedCall, contract: ToolContract, message: ToolMessage) -> ToolMessage:
    """The result as the contract promises it, or an error that says what is wrong with it."""
    try:
        _check_type(contract, message)
        if not contract.keep and not contract.sort_key:
            return message
        change = partial(_chosen, contract)
        result = result_in(message.content)
        if result is None:
            return on_text(message, change)
        chosen = result.model_copy(update={"data": change(result.data)})
        return replace_message(message, content=chosen.render(None), artifact=chosen.artifact())
    except (UnreadableResult, ValidationError) as error:
        told = ToolResult.error("permanent", _problem(call.name, error))
        return replace_message(told.to_message(call.id, call.name), id=message.id)


def _chosen(contract: ToolContract, value: Any) -> Any:
    """Sorted first, because what it is sorted by need not be kept."""
    in_order = ordered(value, contract.sort_key) if contract.sort_key else value
    return select(in_order, contract.keep) if contract.keep else in_order


def _check_type(contract: ToolContract, message: ToolMessage) -> None:
    if contract.result_type is None:
        return
    result = result_in(message.content)
    value = result.data if result else message.content
    found = parsed(value) if isinstance(value, str) else value
    contract.result_type.validate_python(value if found is NOT_JSON else found)


def _problem(tool: str, error: UnreadableResult | ValidationError) -> str:
    if isinstance(error, UnreadableResult):
        return str(error)
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return f"{tool} returned something else than its contract says: {checks.told(errors)}"


def on_text(message: ToolMessage, change: Change) -> ToolMessage:
    """`message` with `change` applied to its text, or to the texts of its blocks."""
    content = message.content
    if isinstance(content, str):
        text = change(content)
        return message if text is content else replace_message(message, content=text)
    blocks = [{"type": "text", "text": each} if isinstance(each, str) else each for each in content]
    return replace_message(message, content=on_texts(blocks, change))


def _readable(text: str) -> str:
    """Bytes come as the text of a literal, four characters for each: what they are says more."""
    data = bytes_in(text)
    return text if data is None else described(data)


def _cleaned(call: GuardedCall, text: str) -> str:
    cleaned = clean(text)
    found = {**cleaned.found, **suspicions(cleaned.text)}
    if found:
        emit("tool.cleaned", tool=call.name, kinds=sorted(found), count=sum(found.values()))
    return cleaned.text


def _fenced(source: str, below: bool, text: str) -> str:
    """`text` between marks; `below`: its first line is the guard's own, and stays outside."""
    line, text = text.split("\n", 1) if below and "\n" in text else ("", text)
    while True:
        try:
            fenced = fence(text, source=source, nonce=secrets.token_hex(NONCE_BYTES))
        except NonceInText:
            continue
        return f"{line}\n{fenced}" if line else fenced


def _put_aside(call: GuardedCall, limit: int, kept: list[Any], text: str) -> str:
    if len(text) <= limit:
        return text
    id, at = _id(call, len(kept)), call.now_ms
    offloaded = offload(text, id=id, tool=call.name, call=call.id, limit=limit, at=at)
    if offloaded is None:
        return text
    kept.append(offloaded.record)
    emit("tool.offloaded", tool=call.name, chars=len(text), shown=len(offloaded.preview))
    return offloaded.preview


def _id(call: GuardedCall, number: int) -> str:
    """The same for the same call, so that a step which runs again keeps one artifact and not two."""
    asked = call.asked.message.id if call.asked.message else ""
    return blake2b(f"{asked}\0{call.id}\0{number}".encode(errors="replace"), digest_size=6).hexdigest()


def _without_data(artifact: Any) -> Any:
    """What was put aside need not stand beside itself."""
    return {**artifact, "data": None} if isinstance(artifact, Mapping) and "tool_result" in artifact else artifact


def noted(call: GuardedCall, message: ToolMessage) -> ToolMessage:
    """`message`, and after it what the guards before have to say of the call."""
    notes = [str(each["message"]) for each in checks.said_of(call, "note") if each.get("message")]
    if not notes:
        return message
    content = message.content
    more = "\n\n" + "\n".join(f"[note] {note}" for note in notes)
    if isinstance(content, str):
        return replace_message(message, content=content + more)
    return replace_message(message, content=[*content, {"type": "text", "text": more.strip()}])
