"""What is written comes back: as LangGraph's own serializer gives it back, or better."""

from __future__ import annotations

import warnings
from typing import Any, Final

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.core.serde import StrictSerializer
from tests.checkpoint.core.kinds import ALLOWED, BETTER, MARKERS, VALUES, Corner, Outer, Total, same

LANGGRAPH = JsonPlusSerializer(allowed_msgpack_modules=True)
STRICT = StrictSerializer(ALLOWED)
LIKE_LANGGRAPH = sorted(VALUES.keys() - BETTER)

json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def codecs() -> dict[str, Codec]:
    """Every way in which bytes are kept."""
    seal = Seal(bytes(range(100, 132)))
    return {
        "plain": Codec(lambda: STRICT),
        "compressed": Codec(lambda: STRICT, compress=True),
        "sealed": Codec(lambda: STRICT, seal=seal),
        "both": Codec(lambda: STRICT, seal=seal, compress=True),
        "LangGraph's": Codec(lambda: LANGGRAPH),
    }


@pytest.mark.parametrize("kind", LIKE_LANGGRAPH)
def test_a_value_is_written_in_langgraphs_own_bytes(kind: str) -> None:
    """Whoever leaves this pack, or comes to it, takes the stored bytes along."""
    assert STRICT.dumps_typed(VALUES[kind]) == LANGGRAPH.dumps_typed(VALUES[kind])


@pytest.mark.parametrize("kind", LIKE_LANGGRAPH)
def test_a_value_comes_back_as_langgraph_gives_it_back(kind: str) -> None:
    """Changing the saver must not change a program's state."""
    stored = LANGGRAPH.dumps_typed(VALUES[kind])
    assert same(STRICT.loads_typed(stored), LANGGRAPH.loads_typed(stored))


LOSSY: Final = {"tuple", "Counter", "defaultdict", "OrderedDict", "exception", "datetime in a zone", "pydantic"}
"""Lose something in LangGraph's format: a tuple becomes a list, a zone its offset, an error its text."""


@pytest.mark.parametrize("kind", sorted(VALUES.keys() - LOSSY))
def test_a_value_comes_back_as_it_was(kind: str) -> None:
    """A run that is resumed must find what it left."""
    assert same(STRICT.loads_typed(STRICT.dumps_typed(VALUES[kind])), VALUES[kind])


@pytest.mark.parametrize("how", codecs())
@pytest.mark.parametrize("kind", sorted(VALUES.keys() - BETTER | {"bytearray"}))
def test_a_codec_changes_no_value(how: str, kind: str) -> None:
    """Alone it comes back as from the serializer, whatever was done to the bytes on the way."""
    codec, value = codecs()[how], VALUES[kind]
    back = codec.unpack(codec.pack(value, b"me"), b"me", "a value")
    assert same(back, STRICT.loads_typed(STRICT.dumps_typed(value)))


@pytest.mark.parametrize("how", codecs())
def test_a_list_of_everything_comes_back_element_by_element(how: str) -> None:
    """Elements are stored one by one and decoded together; neither their order nor their kinds may suffer."""
    codec, values = codecs()[how], [VALUES[kind] for kind in LIKE_LANGGRAPH]
    stored = [codec.pack_element(value, b"%d" % at) for at, value in enumerate(values)]
    back = codec.unpack_elements(stored, lambda at: b"%d" % at, "a list")
    assert same(back, [STRICT.loads_typed(STRICT.dumps_typed(value)) for value in values])


@pytest.mark.parametrize("name", MARKERS)
def test_a_dict_that_looks_like_a_mark_stays_that_dict(name: str) -> None:
    """A tool's answer is data. No words in it make it a Send, an interrupt or a class."""
    marker = {"outer": [MARKERS[name]]}
    codec = Codec(lambda: STRICT)
    assert same(codec.unpack(codec.pack(marker, b""), b"", "a value"), marker)


@given(json_like)
def test_any_json_like_value_comes_back(value: Any) -> None:
    """Most of what a program keeps is made of these."""
    codec = Codec(lambda: STRICT, compress=True)
    assert same(codec.unpack(codec.pack(value, b""), b"", "a value"), value)


def test_what_langgraph_loses_comes_back_whole() -> None:
    """These come back from LangGraph as a list, as dicts, and not at all."""
    for value in (Corner.FAR, Outer.Inner(1), Total([1, 2], 3)):
        stored = STRICT.dumps_typed(value)
        assert same(STRICT.loads_typed(stored), value)
        assert not same(LANGGRAPH.loads_typed(stored), value)


# Messages take a short way


messages = st.builds(
    AIMessage,
    content=st.text() | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}), max_size=2),
    id=st.none() | st.text(),
    name=st.none() | st.text(),
    additional_kwargs=st.dictionaries(st.text(), json_like, max_size=2),
    response_metadata=st.dictionaries(st.text(), json_like, max_size=2),
    tool_calls=st.lists(
        st.fixed_dictionaries(
            {"name": st.text(), "args": st.dictionaries(st.text(), json_like, max_size=2), "id": st.none() | st.text()}
        ),
        max_size=2,
    ),
    usage_metadata=st.none()
    | st.fixed_dictionaries(
        {"input_tokens": st.integers(0, 9), "output_tokens": st.integers(0, 9), "total_tokens": st.integers(0, 9)}
    ),
) | st.one_of(
    *(st.builds(cls, content=st.text(), id=st.none() | st.text()) for cls in (HumanMessage, SystemMessage)),
    st.builds(ToolMessage, content=st.text(), tool_call_id=st.text(), artifact=json_like),
)


@given(messages)
def test_a_message_is_the_one_that_validation_would_have_made(message: BaseMessage) -> None:
    """Messages are filled without validation, so they must be what it would have made of them, in every part."""
    stored = LANGGRAPH.dumps_typed(message)
    ours, theirs = STRICT.loads_typed(stored), LANGGRAPH.loads_typed(stored)
    assert type(ours) is type(theirs)
    assert ours.__getstate__() == theirs.__getstate__()
    assert list(ours.__dict__) == list(theirs.__dict__)


def test_a_message_from_an_older_release_takes_the_long_way() -> None:
    """It lacks a field that messages have today; validation fills it."""
    fields = HumanMessage("hi", id="1").model_dump()
    del fields["name"]
    extension = ("langchain_core.messages.human", "HumanMessage", fields, "model_validate_json")
    assert STRICT.loads_typed(("msgpack", _extension(5, extension))) == HumanMessage("hi", id="1")


def test_a_message_that_was_read_can_be_copied_and_dumped() -> None:
    """Reducers copy messages, and models are given what they dump; a message filled by hand must not break there."""
    message = STRICT.loads_typed(STRICT.dumps_typed(VALUES["ai message"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert message.model_copy(update={"content": "new"}).content == "new"
        assert message.model_dump() == VALUES["ai message"].model_dump()
        assert message + HumanMessage("x") is not None


def _extension(code: int, contents: Any) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(contents)))
