"""The strict serializer: nothing is written that cannot be read, and nothing is built that nobody allowed."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import ormsgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.event_hooks import register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Send

from langgraph_guard.checkpoint.core.serde import StrictSerializer, Unstorable, allowing
from langgraph_guard.errors import BlockedType, ConfigError, CorruptCheckpoint, StoreError
from tests.checkpoint.core.kinds import Colour, Everything, Note, Outer, Point, Stranger, Ticket, Unlisted

CANARY = "sk-canary"


def extension(code: int, contents: Any) -> tuple[str, bytes]:
    """What somebody writes who has the store and knows LangGraph's format."""
    return "msgpack", ormsgpack.packb([ormsgpack.Ext(code, ormsgpack.packb(contents))])


# Writing


@pytest.mark.parametrize(
    "value",
    [
        Unlisted(),
        [Unlisted()],
        {"deep": {"er": (Unlisted(),)}},
        Send("node", Unlisted()),
        {frozenset({Point(1, 2)})},
        HumanMessage("h", additional_kwargs={"a": [Colour.RED]}),
        AIMessage("a", response_metadata={"when": np.arange(2), "colour": Colour.RED}),
    ],
    ids=repr,
)
def test_a_type_that_is_not_allowed_raises_when_it_is_written(value: Any) -> None:
    """The earliest moment: before anything was stored, and on the machine of whoever wrote the node."""
    with pytest.raises(BlockedType) as caught:
        StrictSerializer().dumps_typed(value)
    assert caught.value.type_name.startswith("tests.checkpoint.core.kinds.")


def test_a_type_inside_an_allowed_one_is_looked_at_too() -> None:
    """A hole at the second level would be found out when the thread is read."""
    with pytest.raises(BlockedType, match=r"kinds\.Unlisted"):
        StrictSerializer([Note]).dumps_typed(Note("n", inner=[{"k": Unlisted()}]))


def test_the_error_says_how_to_allow_the_type() -> None:
    """Whoever meets it should not have to look anything up."""
    with pytest.raises(
        BlockedType, match=r"kinds\.Unlisted, which is not on the allow-list.*allowed_types=\[Unlisted\]"
    ):
        StrictSerializer().dumps_typed(Unlisted())


def test_half_a_surrogate_pair_is_refused() -> None:
    """LangGraph writes a question mark: a path or a text that silently became another one."""
    for value in ("a\ud800", {"\udfff": 1}, [HumanMessage("\ud800")], Path("\udcff")):
        with pytest.raises(Unstorable, match="lone surrogate"):
            StrictSerializer().dumps_typed(value)
    assert JsonPlusSerializer().loads_typed(JsonPlusSerializer().dumps_typed("a\ud800")) == "a?"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**64, "more than 64 bits"),
        ([-(2**63) - 1], "more than 64 bits"),
        (Stranger(), "Object of type Stranger is not serializable"),
        ({Note: 1}, "dict key"),
        (np.array([object()]), "array of dtype"),
        (np.zeros(1, dtype=[("a", "i4")]), "array of dtype"),
        ({"f": print}, "not serializable"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_stored_form_is_refused_in_words(value: Any, problem: str) -> None:
    """It is a TypeError, as LangGraph's serializer raises it."""
    with pytest.raises(Unstorable, match=problem) as caught:
        StrictSerializer().dumps_typed(value)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, StoreError)


def test_a_class_that_cannot_be_found_again_is_refused() -> None:
    """It would be written by a name that leads nowhere, and the thread could not be read any more."""

    @dataclass
    class Local:
        value: int

    with pytest.raises(Unstorable, match="cannot be found again"):
        StrictSerializer([Local]).dumps_typed(Local(1))


def test_a_class_that_was_defined_again_still_counts() -> None:
    """In a notebook a cell runs twice; objects of the first class have the second one's name."""
    again = copy.copy(Note)
    first = type("Note", (Note,), {"__module__": Note.__module__, "__qualname__": "Note"})
    assert StrictSerializer([Note]).loads_typed(StrictSerializer([Note]).dumps_typed(first("n"))) == again("n")


def nested(depth: int) -> Any:
    """Notes inside notes; each has a colour, which is one level more."""
    value: Any = "end"
    for _ in range(depth):
        value = Note("n", inner=value)
    return value


def test_what_is_nested_too_deep_is_refused_when_it_is_written() -> None:
    """Reading needs more of Python's stack than writing; a limit at the writing makes sure that it suffices."""
    strict = StrictSerializer([Note])
    with pytest.raises(Unstorable, match="more than 100 deep"):
        strict.dumps_typed(nested(100))
    assert strict.loads_typed(strict.dumps_typed(nested(99))) == nested(99)


def test_a_list_that_is_nested_too_deep_is_refused() -> None:
    """msgpack stops at 1,024; a state that holds such a list is a mistake."""
    value: Any = []
    for _ in range(2_000):
        value = [value]
    with pytest.raises(Unstorable, match="nested too deeply"):
        StrictSerializer().dumps_typed(value)


class Interrupting:
    def model_dump(self) -> Any:
        raise KeyboardInterrupt


def test_ctrl_c_while_serializing_is_not_swallowed() -> None:
    """msgpack turns whatever its hook raises into an error of its own."""
    with pytest.raises(KeyboardInterrupt):
        StrictSerializer().dumps_typed([Interrupting()])


def test_an_error_is_stored_although_its_class_is_not_allowed() -> None:
    """LangGraph stores a failed task's exception; that must not fail because of the exception's class."""
    strict = StrictSerializer()
    assert strict.loads_typed(strict.dumps_typed(ConfigError("a", "b"))) == "ConfigError('a: b')"
    assert (
        strict.loads_typed(strict.dumps_typed(BlockedType("x.Y", "here")))
        == "BlockedType(type_name='x.Y', where='here')"
    )
    assert strict.loads_typed(strict.dumps_typed(ValueError("\ud800"))) == "ValueError('\\ud800')"


# Reading


@pytest.mark.parametrize("code", range(6))
@pytest.mark.parametrize("target", [("os", "mkdir"), ("builtins", "eval"), ("subprocess", "Popen"), ("os", "system")])
def test_code_that_a_stored_value_names_is_not_run(tmp_path: Path, code: int, target: tuple[str, str]) -> None:
    """Whoever can write to the store must not run code on every machine that reads it."""
    folder = tmp_path / "owned"
    argument: Any = str(folder)
    contents = (*target, {"path": argument} if code in (2, 4, 5) else [argument] if code == 1 else argument, "mkdir")
    with pytest.raises(BlockedType, match=f"{target[0]}.{target[1]}"):
        StrictSerializer().loads_typed(extension(code, contents))
    assert not folder.exists()


def test_such_a_value_does_harm_elsewhere(tmp_path: Path) -> None:
    """The same bytes make a folder in LangGraph's default: the test above tests something."""
    JsonPlusSerializer(allowed_msgpack_modules=True).loads_typed(extension(0, ("os", "mkdir", str(tmp_path / "owned"))))
    assert (tmp_path / "owned").exists()


def test_a_method_that_a_stored_value_names_is_not_called() -> None:
    """The one method there is makes moments of texts."""
    moment = "2026-01-01"
    for cls, method in [("datetime", "fromtimestamp"), ("datetime", "strptime"), ("date", "fromisoformat")]:
        with pytest.raises(CorruptCheckpoint):
            StrictSerializer().loads_typed(extension(3, ("datetime", cls, moment, method)))
    assert StrictSerializer().loads_typed(extension(3, ("datetime", "datetime", moment, "fromisoformat")))


def test_a_name_leads_no_further_than_the_name_that_was_allowed() -> None:
    """A module's attributes are other modules; an allowed class opens no way through them."""
    strict = StrictSerializer([("tests.checkpoint.core.kinds", "Outer")])
    for name in ("Outer.Inner", "re.compile", "np.fromfile", "Outer.__init__"):
        with pytest.raises(BlockedType):
            strict.loads_typed(extension(1, ("tests.checkpoint.core.kinds", name, ["x"])))


def test_a_blocked_type_is_counted() -> None:
    """LangGraph's own listeners hear of it, so that an alarm that was built for them rings here too."""
    events: list[Any] = []
    stop = register_serde_event_listener(events.append)
    try:
        with pytest.raises(BlockedType):
            StrictSerializer().loads_typed(extension(0, ("os", "mkdir", "/x")))
    finally:
        stop()
    assert events == [{"kind": "msgpack_blocked", "module": "os", "name": "mkdir"}]


@pytest.mark.parametrize("setting", ["false", "true"])
def test_the_environment_changes_nothing(setting: str) -> None:
    """LangGraph reads LANGGRAPH_STRICT_MSGPACK once, at import; this serializer is strict either way."""
    script = (
        "from langgraph_guard.checkpoint.core.serde import StrictSerializer as S\n"
        "import ormsgpack as o, sys\n"
        "try: S().loads_typed(('msgpack', o.packb(o.Ext(0, o.packb(('os', 'mkdir', '/x'))))))\n"
        "except Exception as e: sys.exit(type(e).__name__ != 'BlockedType')\n"
        "sys.exit(2)"
    )
    environment = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": setting}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0


@pytest.mark.parametrize(
    "tag", ["pickle", "json", "", "msgpack+aes", "unknown", "MSGPACK", CANARY * 50, None, ("msgpack",)]
)
def test_only_known_type_tags_are_read(tag: Any) -> None:
    """Pickle and LangChain's JSON build objects; what else there may be, nobody has looked at."""
    payload = pickle.dumps([1]) if tag == "pickle" else b'{"lc": 2, "type": "constructor", "id": ["os", "mkdir"]}'
    with pytest.raises(CorruptCheckpoint, match="type tag") as caught:
        StrictSerializer().loads_typed((tag, payload))
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "contents",
    [None, [], 1, "text", ["datetime"], [1, 2, 3], [["a"], "b", 1], {"a": 1}, ["datetime", "date", None]],
    ids=repr,
)
@pytest.mark.parametrize("code", [*range(8), 8, 127])
def test_an_extension_that_makes_no_sense_is_damage(code: int, contents: Any) -> None:
    """LangGraph returns None for most of them: a value that vanished."""
    if code == 7:
        return  # a snapshot may hold anything
    with pytest.raises((CorruptCheckpoint, BlockedType)):
        StrictSerializer().loads_typed(extension(code, contents))


def test_a_million_brackets_are_damage_and_no_crash() -> None:
    """Recursion is bounded: in msgpack's own arrays, and in extensions inside extensions."""
    deep = b"\xc0"
    for _ in range(3_000):
        deep = ormsgpack.packb(ormsgpack.Ext(7, deep))
    for data in (b"\x91" * 1_000_000 + b"\xc0", deep, b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(CorruptCheckpoint):
            StrictSerializer().loads_typed(("msgpack", data))


def test_a_class_that_outgrew_what_is_stored_is_told_of() -> None:
    """LangGraph returns a dict in its place, and the node after it finds out."""
    module, name = Note.__module__, "Note"
    with pytest.raises(CorruptCheckpoint, match=r"kinds\.Note, which could not be built"):
        StrictSerializer([Note]).loads_typed(extension(2, (module, name, {"text": "a", "gone": 1})))
    with pytest.raises(CorruptCheckpoint, match=r"Colour, which could not be built.*ValueError"):
        StrictSerializer([Colour]).loads_typed(extension(0, (module, "Colour", CANARY)))
    with pytest.raises(CorruptCheckpoint, match=r"kinds\.Gone, which could not be built.*AttributeError"):
        StrictSerializer([(module, "Gone")]).loads_typed(extension(0, (module, "Gone", 1)))


@dataclass
class Picky:
    value: str

    def __post_init__(self) -> None:
        if self.value == CANARY:
            raise ValueError(f"refuses {self.value}")


def test_errors_quote_no_contents() -> None:
    """Errors are logged, and logs are read by others than those whose data it is."""
    strict = StrictSerializer([Picky, Ticket])
    wrong = Picky("x")
    wrong.value = CANARY
    calls = [
        lambda: strict.loads_typed(strict.dumps_typed(wrong)),
        lambda: strict.dumps_typed(Unlisted()),
        lambda: strict.dumps_typed({CANARY: [2**70, CANARY]}),
        lambda: strict.dumps_typed(CANARY + "\ud800"),
        lambda: strict.loads_typed(extension(0, (f"a {CANARY!r}\n", "b", CANARY))),
        lambda: strict.loads_typed(("msgpack", b"\xd9\xff" + CANARY.encode())),
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert CANARY not in _everything_told(caught.value)


def _everything_told(error: BaseException) -> str:
    """The text of an error and of those that a traceback shows with it."""
    shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error} {error!r}" + (_everything_told(shown) if shown else "")


# What is allowed


def test_a_state_type_names_all_that_is_in_it() -> None:
    """One class to name instead of seven; LangGraph collects the types of a graph in the same way."""
    strict = StrictSerializer([Everything])
    for value in (Note("n"), Ticket(title="t"), Point(1, 2), Colour.RED):
        assert strict.loads_typed(strict.dumps_typed(value)) == value


class Holder(Exception):
    """Not data: it is allowed when it is named, and mentions nothing."""

    process: subprocess.Popen[bytes]


@dataclass
class Job:
    process: subprocess.Popen[bytes]
    folder: Path


def test_only_data_is_allowed_by_being_mentioned() -> None:
    """An annotation may name a class whose construction starts a process."""
    for types in ([Job], [Holder]):
        with pytest.raises(BlockedType):
            StrictSerializer(types).loads_typed(extension(1, ("subprocess", "Popen", [["true"]])))


@pytest.mark.parametrize("wrong", [None, True, Note, "Note", ["Note"], [("a",)], [("a", "b", "c")], [None], [[1, 2]]])
def test_what_is_no_list_of_types_is_refused_at_once(wrong: Any) -> None:
    """True would mean everything to LangGraph; here it means a mistake."""
    with pytest.raises(ConfigError, match="allowed_types"):
        StrictSerializer(wrong)


def test_a_pair_of_names_is_as_good_as_the_class() -> None:
    """For types that are costly to import where the saver is made."""
    strict = StrictSerializer([(Note.__module__, "Note"), (Colour.__module__, "Colour")])
    assert strict.loads_typed(strict.dumps_typed(Note("n"))) == Note("n")


class Moment(datetime):
    """As freezegun and pendulum derive theirs."""


def test_a_derived_datetime_comes_back_once_it_is_allowed() -> None:
    """LangGraph returns it as text in every mode."""
    moment = Moment(2026, 1, 1)
    with pytest.raises(BlockedType, match="Moment"):
        StrictSerializer().dumps_typed(moment)
    strict = StrictSerializer([Moment])
    assert type(strict.loads_typed(strict.dumps_typed(moment))) is Moment


def test_more_types_make_another_serializer() -> None:
    """Strict mode gives each graph a copy of the saver; one graph's types are not the other's."""
    strict = StrictSerializer()
    wider = strict.with_msgpack_allowlist([(Note.__module__, "Note"), Colour])
    assert wider.loads_typed(wider.dumps_typed(Note("n"))) == Note("n")
    with pytest.raises(BlockedType):
        strict.dumps_typed(Note("n"))
    assert wider.with_msgpack_allowlist([Note]) is wider
    assert wider.with_msgpack_allowlist([]) is wider


def test_langgraphs_with_allowlist_reaches_the_serializer() -> None:
    """`compile()` calls it in strict mode, with the types of the graph."""
    saver: BaseCheckpointSaver[str] = BaseCheckpointSaver(serde=StrictSerializer())
    clone = saver.with_allowlist({(Outer.__module__, "Outer.Inner")})
    assert clone.serde.loads_typed(clone.serde.dumps_typed(Outer.Inner(1))) == Outer.Inner(1)


class Wrapper:
    """A serializer of a user's around another."""

    def __init__(self, serde: Any) -> None:
        self.serde = serde

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        tag, data = self.serde.dumps_typed(obj)
        return tag, data[::-1]

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self.serde.loads_typed((data[0], data[1][::-1]))


def test_the_types_reach_a_serializer_inside_others() -> None:
    """LangGraph logs a warning and leaves the allow-list out, so wrapping a serializer would switch it off."""
    outer = (
        Wrapper(EncryptedSerializer.from_pycryptodome_aes(StrictSerializer(), key=b"k" * 16)) if _has_aes() else None
    )
    for wrapped in filter(None, (outer, Wrapper(Wrapper(StrictSerializer())))):
        wider = allowing(wrapped, [Note])
        assert type(wider) is Wrapper
        assert wider.loads_typed(wider.dumps_typed([Note("n", inner=1)])) == [Note("n", inner=1)]
        with pytest.raises(BlockedType):
            wrapped.dumps_typed(Note("n"))


def _has_aes() -> bool:
    try:
        import Crypto.Cipher.AES  # noqa: F401
    except ImportError:
        return False
    return True


class Untyped:
    def dumps(self, obj: Any) -> bytes:
        return pickle.dumps(obj)

    def loads(self, data: bytes) -> Any:
        return pickle.loads(data)


def test_a_serializer_without_an_allow_list_stays_the_same_object() -> None:
    """A clone of the saver for nothing would lose what the saver has cached."""
    permissive = JsonPlusSerializer(allowed_msgpack_modules=True)
    itself = Wrapper(None)
    itself.serde = itself
    for serde in (permissive, Wrapper(permissive), Wrapper(None), Untyped(), itself):
        assert allowing(serde, [Note]) is serde


def test_a_serializer_can_be_copied_and_pickled() -> None:
    """Savers are copied by `copy.copy` and sent to worker processes."""
    for twin in (copy.copy(StrictSerializer([Note])), copy.deepcopy(StrictSerializer([Note]))):
        assert twin.loads_typed(twin.dumps_typed(Note("n"))) == Note("n")
