"""The serializer that savers use unless they are given another: LangGraph's format, and no type that nobody allowed.

LangGraph's own serializer builds whatever class a stored value names, or, in strict mode, gives back plain data in its
place without a word. Here a type that is not allowed raises `BlockedType`, already when it is written.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

import ormsgpack
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.event_hooks import emit_serde_event
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer, _option

from langgraph_guard.checkpoint.core import allowed, extensions, messages
from langgraph_guard.checkpoint.core.allowed import AllowedType, Name
from langgraph_guard.errors import BlockedType, CorruptCheckpoint, StoreError

A_VALUE: Final = "a value"
"""Where something is wrong, as far as a serializer knows."""

# LangGraph's options, but it writes "?" for half a surrogate pair; here that is an error.
_WRITE: Final = _option & ~ormsgpack.OPT_REPLACE_SURROGATES
_READ: Final = ormsgpack.OPT_NON_STR_KEYS

_DEEPEST: Final = 100
"""Objects inside objects. What is written can be read, even from deeper down Python's stack."""

_A_NAME: Final = re.compile(r"[\w.\[\], <>]{1,200}")
_A_TAG: Final = re.compile(r"[\w.+-]{1,40}")

_PLAINER: Final = {
    "string contains surrogates": "has a str with a lone surrogate, which is no character and cannot be stored",
    "Integer exceeds 64-bit range": "has an int of more than 64 bits; store it as a str",
    "Recursion limit reached": "is nested too deeply",
    "Dict key must a type serializable with OPT_NON_STR_KEYS": "has a dict key of a kind that cannot be stored",
}


@dataclass(eq=False)
class Unstorable(StoreError, TypeError):
    """A value that has no stored form. Nothing was written."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where} {self.problem}"


class StrictSerializer(JsonPlusSerializer):
    """LangGraph's msgpack, for LangGraph's safe types and `allowed_types`, whatever LANGGRAPH_STRICT_MSGPACK says.

    `allowed_types`: classes, or ("module", "Name") pairs. A class brings the models, dataclasses, named tuples and
    enums that its annotations mention, so a graph's state type is often all there is to name.

    Neither pickle nor LangChain's JSON is read. A class that has changed so that what is stored no longer fits raises
    `CorruptCheckpoint`; LangGraph's serializer would return a dict.
    """

    def __init__(self, allowed_types: Iterable[AllowedType] = ()) -> None:
        self._allow(allowed.SAFE | allowed.names(allowed_types))

    def _allow(self, names: frozenset[Name]) -> None:
        super().__init__(allowed_msgpack_modules=names)
        self._allowed = names

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        if obj is None:
            return "null", b""
        if isinstance(obj, bytes | bytearray):
            return ("bytes", obj) if isinstance(obj, bytes) else ("bytearray", bytes(obj))
        return "msgpack", _Writer(self._allowed).pack(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        tag, stored = data
        if tag == "msgpack":
            return _Reader(self._allowed).unpack(stored)
        if tag == "null":
            return None
        if tag in ("bytes", "bytearray"):
            return bytes(stored) if tag == "bytes" else bytearray(stored)
        raise CorruptCheckpoint(A_VALUE, f"has a type tag that is not read here{_shown(tag)}")

    def with_msgpack_allowlist(self, extra_allowlist: Iterable[Name | type]) -> StrictSerializer:
        """This serializer, with more types allowed; itself when there are none."""
        merged = self._allowed | allowed.names(extra_allowlist)
        if merged == self._allowed:
            return self
        clone = copy.copy(self)
        clone._allow(merged)
        return clone


def allowing(serde: SerializerProtocol, extra: Collection[Name]) -> SerializerProtocol:
    """`serde` with more types allowed, also when it is wrapped: wrappers have the inner one as `.serde`.

    The same object when nothing changes, or when nothing in it has an allow-list.
    """
    if isinstance(serde, JsonPlusSerializer):
        return serde.with_msgpack_allowlist(extra)
    inner = getattr(serde, "serde", None)
    if inner is None or inner is serde or (wider := allowing(inner, extra)) is inner:
        return serde
    clone = copy.copy(serde)
    clone.serde = wider  # type: ignore[attr-defined] # it has one: it was just read
    return clone


def _shown(tag: Any) -> str:
    return f": {tag}" if isinstance(tag, str) and _A_TAG.fullmatch(tag) else ""


# ormsgpack drops what its hooks raise and says "hook failed"; `problem` keeps the first of them, KeyboardInterrupt too.


class _Writer:
    """One value on its way into bytes."""

    __slots__ = ("_allowed", "_depth", "problem")

    def __init__(self, allowed: frozenset[Name]) -> None:
        self._allowed = allowed
        self._depth = 0
        self.problem: BaseException | None = None

    def pack(self, value: Any) -> bytes:
        try:
            return ormsgpack.packb(value, default=self._default, option=_WRITE)
        except ormsgpack.MsgpackEncodeError as error:
            raise _unstorable(self.problem or error) from None

    def _default(self, obj: Any) -> ormsgpack.Ext | str:
        try:
            if (name := messages.NAMES.get(type(obj))) is not None:
                return self._message(name, obj)
            return self._extension(obj)
        except BaseException as error:
            self.problem = error if self.problem is None else self.problem
            raise

    def _message(self, name: Name, message: Any) -> ormsgpack.Ext:
        contents = (*name, message.model_dump(), extensions.FROM_JSON)
        return ormsgpack.Ext(extensions.PYDANTIC, ormsgpack.packb(contents, default=self._default, option=_WRITE))

    def _extension(self, obj: Any) -> ormsgpack.Ext | str:
        apart = extensions.take_apart(obj)
        if isinstance(apart, str):
            return apart
        if apart.code not in extensions.BARE and not self._may_store(obj, apart.contents):
            if isinstance(obj, BaseException):
                return extensions.as_text(obj)
            raise BlockedType(".".join(apart.contents[:2]), A_VALUE)
        return ormsgpack.Ext(apart.code, self._inner(apart.contents))

    def _may_store(self, obj: Any, contents: tuple[Any, ...]) -> bool:
        name = (contents[0], contents[1])
        if name in allowed.SAFE:
            return True
        if name not in self._allowed:
            return False
        found = extensions.finds(*name)
        if not isinstance(found, type) or allowed.name_of(found) != name:
            raise Unstorable(A_VALUE, f"is of a class that cannot be found again as {'.'.join(name)}")
        return True

    def _inner(self, contents: Any) -> bytes:
        if self._depth >= _DEEPEST:
            raise Unstorable(A_VALUE, f"has objects inside objects, more than {_DEEPEST} deep")
        self._depth += 1
        packed = ormsgpack.packb(contents, default=self._default, option=_WRITE)
        self._depth -= 1
        return packed


def _unstorable(problem: BaseException) -> BaseException:
    if isinstance(problem, StoreError) or not isinstance(problem, Exception):
        return problem
    if isinstance(problem, TypeError) and (plainer := _PLAINER.get(str(problem))):
        return Unstorable(A_VALUE, plainer)
    return Unstorable(A_VALUE, f"cannot be stored ({_told(problem)})")


def _told(problem: Exception) -> str:
    """What may be told of an error: its kind, and its text if it is LangGraph's or msgpack's about a type."""
    text = str(problem)
    return text if isinstance(problem, TypeError) and text.endswith("serializable") else type(problem).__name__


class _Reader:
    """One value on its way out of bytes."""

    __slots__ = ("_allowed", "problem")

    def __init__(self, allowed: frozenset[Name]) -> None:
        self._allowed = allowed
        self.problem: BaseException | None = None

    def unpack(self, data: bytes) -> Any:
        try:
            return ormsgpack.unpackb(data, ext_hook=self._hook, option=_READ)
        except ormsgpack.MsgpackDecodeError as error:
            if isinstance(self.problem, StoreError) or not isinstance(self.problem, Exception | None):
                raise self.problem from None
            raise CorruptCheckpoint(A_VALUE, "is damaged: it is no whole msgpack value") from error

    def _hook(self, code: int, data: bytes) -> Any:
        try:
            contents = ormsgpack.unpackb(data, ext_hook=self._hook, option=_READ)
            message = messages.whole(contents) if code == extensions.PYDANTIC else None
            return self._built(code, contents) if message is None else message
        except BaseException as error:
            self.problem = error if self.problem is None else self.problem
            raise

    def _built(self, code: int, contents: Any) -> Any:
        if code in extensions.BARE:
            return self._attempt("an array or a snapshot", extensions.put_bare, code, contents)
        module, name = self._named(contents)
        return self._attempt(f"{module}.{name}", self._build, code, contents)

    def _named(self, contents: Any) -> Name:
        if not isinstance(contents, list) or len(contents) < 3:
            raise CorruptCheckpoint(A_VALUE, "is damaged: an object in it does not name its class")
        name = (contents[0], contents[1])
        if type(name[0]) is not str or type(name[1]) is not str:
            raise CorruptCheckpoint(A_VALUE, "is damaged: an object in it names no class")
        if name not in self._allowed:
            emit_serde_event({"kind": "msgpack_blocked", "module": name[0], "name": name[1]})
            raise BlockedType(_type_name(name), A_VALUE)
        return name

    def _build(self, code: int, contents: Any) -> Any:
        return extensions.put_together(code, extensions.find(contents[0], contents[1]), contents)

    def _attempt(self, what: str, build: Any, *arguments: Any) -> Any:
        try:
            return build(*arguments)
        except Exception as error:  # its text may quote the contents, so its kind is all that is told
            problem = f"has {what}, which could not be built from what is stored ({type(error).__name__})"
            raise CorruptCheckpoint(A_VALUE, problem) from None


def _type_name(name: Name) -> str:
    full = ".".join(name)
    return full if _A_NAME.fullmatch(full) else "a type without a proper name"
