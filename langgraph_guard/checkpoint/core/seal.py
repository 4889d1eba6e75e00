"""Sealed bytes: nobody without the key can read them, change them, or put them in another place unnoticed.

    C1 02 | version (1) | length of key id, key id | nonce (12 bytes) | AES-256-GCM ciphertext with its tag

What is authenticated beside the contents: the version, the key id and the identity, which says whose the bytes are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from langgraph_guard.errors import ConfigError, CorruptCheckpoint

SEALED: Final = b"\xc1\x02"
"""How sealed bytes begin. No msgpack value begins with C1."""

VERSION: Final = 1

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")

Key = bytes | str
"""32 random bytes, or base64 of them."""


def identity(*parts: str | bytes | int) -> bytes:
    """Parts as one byte string, of which no other parts have the same: each with its type and its length."""
    return b"".join(map(_part, parts))


def _part(part: str | bytes | int) -> bytes:
    if isinstance(part, str):
        kind, data = b"s", part.encode(errors="surrogatepass")
    elif isinstance(part, bytes):
        kind, data = b"b", part
    elif isinstance(part, int) and not isinstance(part, bool):
        kind, data = b"i", b"%d" % part
    else:
        raise TypeError(f"an identity is made of str, bytes and int, not {type(part).__name__}")
    return kind + len(data).to_bytes(8, "big") + data


class Seal:
    """Authenticated encryption under one key, with older keys to read by.

    `key`: 32 random bytes (`os.urandom(32)`) or base64 of them. A passphrase is no key. `key_id` is written beside what
    is sealed; to change the key, give the new one another id and move the old one to `old_keys`.
    `migration_until`: until then what is not sealed is read too, so that a store can be filled before it has a key.
    Whoever can write to the store can plant values for as long. It has to be an aware datetime.

    Nonces are 96 random bits, so one key is good for 2**32 sealed values (NIST SP 800-38D); change it before.
    Lengths are not hidden.
    """

    def __init__(
        self,
        key: Key,
        *,
        key_id: str = "1",
        old_keys: Mapping[str, Key] | None = None,
        migration_until: datetime | None = None,
    ) -> None:
        old = dict(old_keys or {})
        if key_id in old:
            raise ConfigError("old_keys", "has the id of the present key; give the present key another key_id")
        self._key = _SealingKey.of("key", "key_id", key_id, key)
        self._keys = (self._key, *(_SealingKey.of(f"old_keys[{id}]", "old_keys", id, old[id]) for id in old))
        self._until = _checked_moment(migration_until)
        self.name_key: Final = _derived(_key_bytes("key", key), b"names")
        """A key for keyed hashes that name what is stored. It tells nothing of the key that seals."""

    def __repr__(self) -> str:
        return f"Seal(key_id={self._key.id!r})"

    def seal(self, data: bytes, identity: bytes) -> bytes:
        """`data` so that only `open` with the same identity gives it back."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = self._key.cipher.encrypt(nonce, data, self._key.bound + _part(identity))
        return self._key.head + nonce + sealed

    def open(self, data: bytes, identity: bytes, where: str) -> bytes:
        """What was sealed, if it is whole and in its place; anything else raises `CorruptCheckpoint`."""
        if not data.startswith(SEALED):
            return self._unsealed(data, where)
        for key in self._keys:
            if data.startswith(key.head):
                return key.open(data, identity, where)
        raise CorruptCheckpoint(where, _why_not(data))

    def _unsealed(self, data: bytes, where: str) -> bytes:
        if self._until is not None and datetime.now(UTC) < self._until:
            return data
        raise CorruptCheckpoint(where, "is not sealed, and this saver has a key (migration_until=… would admit it)")


class _SealingKey(NamedTuple):
    """A key in use. `head` begins what it sealed, up to the nonce; `bound` begins what is authenticated beside."""

    id: str
    head: bytes
    bound: bytes
    cipher: Any

    @classmethod
    def of(cls, field: str, id_field: str, id: Any, key: Any) -> _SealingKey:
        if not isinstance(id, str) or not _KEY_ID.fullmatch(id):
            raise ConfigError(id_field, f"is not an id of a key: {_KEY_ID.pattern}")
        head = SEALED + bytes([VERSION, len(id)]) + id.encode()
        return cls(id, head, identity(VERSION, id), _cipher(field, key))

    def open(self, data: bytes, owner: bytes, where: str) -> bytes:
        from cryptography.exceptions import InvalidTag

        start = len(self.head) + _NONCE_BYTES
        try:
            opened: bytes = self.cipher.decrypt(data[len(self.head) : start], data[start:], self.bound + _part(owner))
        except (InvalidTag, ValueError) as error:  # ValueError: cut within the nonce
            raise CorruptCheckpoint(where, "was altered, moved here, or sealed with another key") from error
        return opened


def _why_not(data: bytes) -> str:
    """Why none of the keys fits sealed bytes."""
    if data[2:3] != bytes([VERSION]):
        return f"is sealed in a way that this release does not know; it knows version {VERSION}"
    id = data[4 : 4 + int.from_bytes(data[3:4])].decode(errors="replace")
    if not _KEY_ID.fullmatch(id):
        return "is sealed, and the head of the seal is damaged"
    return f"is sealed with key {id!r}, which this saver does not have"


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(key=key, person=b"lgg-" + purpose, digest_size=_KEY_BYTES).digest()


def _cipher(field: str, key: Key) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        needed = 'needs the package cryptography: pip install "langgraph-guard-pack[crypto]"'
        raise ConfigError(field, needed) from error
    return AESGCM(_derived(_key_bytes(field, key), b"seal"))


def _key_bytes(field: str, key: Any) -> bytes:
    if not isinstance(key, bytes | str):
        raise ConfigError(field, f"is a {type(key).__name__}; 32 bytes, or base64 of 32 bytes, are due")
    raw = key if isinstance(key, bytes) and len(key) == _KEY_BYTES else _from_base64(key)
    if raw is None or len(raw) != _KEY_BYTES:
        raise ConfigError(field, f"has a length of {len(key)}; 32 bytes, or base64 of 32 bytes, are due")
    if all(0x20 <= byte < 0x7F for byte in raw) or len(set(raw)) < 8:
        raise ConfigError(field, "is text or a pattern, which can be guessed; use os.urandom(32)")
    return raw


def _from_base64(key: Key) -> bytes | None:
    try:
        text = key.decode("ascii") if isinstance(key, bytes) else key
        plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (UnicodeError, ValueError, binascii.Error):
        return None


def _checked_moment(moment: Any) -> datetime | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ConfigError("migration_until", "is no aware datetime: datetime(2027, 1, 31, tzinfo=UTC)")
    return moment
