"""One value, one byte string: the only place that knows how a value is framed.

    msgpack                                    a value, as it is; no msgpack begins with C1
    C1 00 | length of tag (2), tag | bytes     a value as another serializer wrote it
    C1 01 | zlib                               one of the above, compressed
    C1 02 | …                                  one of the above, sealed; see `seal`

Bare values of a list stand one after another as the elements of a msgpack array do, so a thousand of them are decoded
by one call.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_guard.checkpoint.core.seal import SEALED, Seal
from langgraph_guard.checkpoint.core.serde import A_VALUE, StrictSerializer, Unstorable
from langgraph_guard.errors import BlockedType, CheckpointTooLarge, ConfigError, CorruptCheckpoint

MARK: Final = 0xC1
TYPED: Final = b"\xc1\x00"
COMPRESSED: Final = b"\xc1\x01"

MOST: Final = 64 * 2**20
"""Bytes of a value, unless a saver is told otherwise."""

WORTH_COMPRESSING: Final = 512
"""Shorter values are left as they are."""

_MSGPACK: Final = "msgpack"
_ARRAY_OF_ONE: Final = 0x91
_BARE: Final = {StrictSerializer.dumps_typed, JsonPlusSerializer.dumps_typed}
"""Serializers of which it is known that "msgpack" is msgpack, and not that of one that encrypts or compresses."""

# Follows the last element: msgpack decoders ignore what is left over, so a damaged length could go unseen.
_END_VALUE: Final = b"\x8f\x1a\xd3\x5e\xb0\x47\x92\x6c"
_END: Final = b"\xc4\x08" + _END_VALUE

_first: Final = itemgetter(0)


class Codec:
    """Values to bytes and back, by the serializer that `serde_of` gives at that time.

    `compress`: whether values of more than 512 bytes are compressed, if that makes them smaller. Where others can
    choose a part of a value and see its size, compression tells them about the rest of it, sealed or not (CRIME).
    `max_value_bytes`: of a value as it is serialized; what is larger raises `CheckpointTooLarge`.
    `max_decompressed_bytes`: what is read stops there; at least `max_value_bytes`.
    """

    def __init__(
        self,
        serde_of: Callable[[], SerializerProtocol],
        *,
        seal: Seal | None = None,
        compress: bool = False,
        max_value_bytes: int = MOST,
        max_decompressed_bytes: int = MOST,
    ) -> None:
        if seal is not None and not isinstance(seal, Seal):
            raise ConfigError("seal", f"must be a Seal(key), is a {type(seal).__name__}")
        self._serde_of = serde_of
        self._seal = seal
        self._compress = compress
        self.max_value_bytes: Final = _checked_limit("max_value_bytes", max_value_bytes)
        self._most = max(max_value_bytes, _checked_limit("max_decompressed_bytes", max_decompressed_bytes))

    @property
    def sealed(self) -> bool:
        """Whether what is written is bound to its place."""
        return self._seal is not None

    @property
    def name_key(self) -> bytes:
        """A key for digests that name what is stored; empty without a seal."""
        return self._seal.name_key if self._seal is not None else b""

    # A value, alone or in a list

    def pack(self, value: Any, identity: bytes, where: str = A_VALUE) -> bytes:
        """The stored form of `value`; `identity` says whose it is, and only there it can be read if there is a seal."""
        return self.wrap(self.dump(value, where), identity)

    def unpack(self, data: bytes, identity: bytes, where: str) -> Any:
        """The value that was packed."""
        return self.load([self.unwrap(data, identity, where)], where)[0]

    def pack_element(self, element: Any, identity: bytes, where: str = A_VALUE) -> bytes:
        """The stored form of an element of a list: the same as that of a value."""
        return self.pack(element, identity, where)

    def unpack_elements(self, datas: Sequence[bytes], identities: Callable[[int], bytes], where: str) -> list[Any]:
        """The elements that were packed, decoded together. `identities`: the identity of the element at a place."""
        if self._seal is None and _all_bare(datas):
            return self.load(datas, where)
        return self.load([self.unwrap(data, identities(at), where) for at, data in enumerate(datas)], where)

    # The two halves: serializing, and what is done to the bytes

    def dump(self, value: Any, where: str = A_VALUE) -> bytes:
        """`value` serialized and neither compressed nor sealed: for digests, and for `wrap`."""
        dumped = _serialized(self._serde_of(), value, where)
        if len(dumped) > self.max_value_bytes:
            raise CheckpointTooLarge(self.max_value_bytes, len(dumped))
        return dumped

    def wrap(self, dumped: bytes, identity: bytes) -> bytes:
        """What `dump` gave, compressed and sealed if that is asked for."""
        if self._compress and len(dumped) > WORTH_COMPRESSING:
            dumped = min(dumped, COMPRESSED + zlib.compress(dumped), key=len)
        return dumped if self._seal is None else self._seal.seal(dumped, identity)

    def unwrap(self, data: bytes, identity: bytes, where: str) -> bytes:
        """What `dump` gave."""
        if self._seal is not None:
            data = self._seal.open(data, identity, where)
        elif data.startswith(SEALED):
            raise CorruptCheckpoint(where, "is sealed, and this saver has no key")
        return _decompressed(data[2:], self._most, where) if data.startswith(COMPRESSED) else data

    def is_plain(self, datas: Sequence[bytes]) -> bool:
        """Whether these are as `dump` gave them, so that there is nothing to unwrap."""
        return self._seal is None and _all_bare(datas)

    def load(self, dumped: Sequence[bytes], where: str) -> list[Any]:
        """The values of which `dump` gave these."""
        serde = self._serde_of()
        if _all_bare(dumped):
            return _bare(serde, dumped, where)
        values = iter(_bare(serde, [data for data in dumped if _is_bare(data)], where))
        return [next(values) if _is_bare(data) else _typed(serde, data, where) for data in dumped]


def _checked_limit(field: str, limit: Any) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ConfigError(field, "is no number of bytes")
    return limit


# Serializing


def _serialized(serde: SerializerProtocol, value: Any, where: str) -> bytes:
    try:
        if type(serde).dumps_typed in _BARE and not isinstance(value, bytearray):
            tag, data = serde.dumps_typed([value])
            if tag == _MSGPACK and data[0] == _ARRAY_OF_ONE:
                return data[1:]
        return _framed(*serde.dumps_typed(value))
    except BlockedType as error:
        raise BlockedType(error.type_name, where) from None
    except Unstorable as error:
        raise Unstorable(where, error.problem) from None
    except Exception as error:
        raise Unstorable(where, f"was refused by {type(serde).__name__} ({type(error).__name__})") from error


def _framed(tag: str, data: bytes) -> bytes:
    label = tag.encode()
    return TYPED + len(label).to_bytes(2, "big") + label + data


def _typed(serde: SerializerProtocol, data: bytes, where: str) -> Any:
    if not data.startswith(TYPED):
        raise CorruptCheckpoint(where, "has a frame that this release does not know" if data else "is empty")
    end = 4 + int.from_bytes(data[2:4], "big")
    if len(data) < end:
        raise CorruptCheckpoint(where, "is damaged: it ends too early")
    return _read(serde, data[4:end].decode(errors="replace"), data[end:], where)


def _is_bare(data: bytes) -> bool:
    return len(data) > 0 and data[0] != MARK


def _all_bare(datas: Sequence[bytes]) -> bool:
    return all(datas) and MARK not in map(_first, datas)


def _bare(serde: SerializerProtocol, datas: Sequence[bytes], where: str) -> list[Any]:
    """Bare values, decoded together; if that fails, one by one, to say which it is."""
    if not datas:
        return []
    try:
        return _joined(serde, datas, where)
    except CorruptCheckpoint as error:
        if len(datas) > 1:
            for at, data in enumerate(datas):
                _joined(serde, [data], f"{where}, element {at}")
        raise error


def _joined(serde: SerializerProtocol, datas: Sequence[bytes], where: str) -> list[Any]:
    values = _read(serde, _MSGPACK, b"".join([_array_header(len(datas) + 1), *datas, _END]), where)
    if not isinstance(values, list) or len(values) != len(datas) + 1 or values.pop() != _END_VALUE:
        raise CorruptCheckpoint(where, "is damaged: it is not one whole msgpack value")
    return values


def _array_header(length: int) -> bytes:
    if length < 16:
        return bytes([0x90 | length])
    if length < 2**16:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")


def _read(serde: SerializerProtocol, tag: str, data: bytes, where: str) -> Any:
    try:
        return serde.loads_typed((tag, data))
    except BlockedType as error:
        raise BlockedType(error.type_name, where) from None
    except CorruptCheckpoint as error:
        raise CorruptCheckpoint(where, error.problem) from error.__cause__
    except Exception as error:
        problem = f"cannot be read by {type(serde).__name__} ({type(error).__name__})"
        raise CorruptCheckpoint(where, problem) from error


def _decompressed(data: bytes, most: int, where: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, most + 1)
    except zlib.error as error:
        raise CorruptCheckpoint(where, "is damaged: it cannot be decompressed") from error
    if len(plain) > most:
        raise CorruptCheckpoint(where, f"decompresses to more than {most} bytes")
    if not inflater.eof or inflater.unused_data:
        raise CorruptCheckpoint(where, "is damaged: its compressed part does not end where it should")
    return plain
