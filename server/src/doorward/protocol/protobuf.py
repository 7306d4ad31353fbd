"""As much of the protobuf wire format as one question of Envoy's and its answer need (protobuf.dev, Encoding).

field: varint(number << 3 | wire type), then a varint (0), 8 bytes (1), a length and that many bytes (2), or 4 bytes (5)
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, I64, LEN, I32 = 0, 1, 2, 5
FIXED = {I64: 8, I32: 4}


def fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Each field's number and value, in their order. Raises ValueError for what is no message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size, at = (FIXED[kind], at) if kind in FIXED else _length(message, at, kind)
        if size > len(message) - at:
            raise ValueError("a field is cut off")
        yield number, message[at : at + size]
        at += size


def _length(message: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind != LEN:
        raise ValueError("a wire type is unknown")
    return _varint(message, at)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        if at >= len(message):
            raise ValueError("a number is cut off")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")


def messages(message: bytes, number: int) -> list[bytes]:
    """The values of one field that holds texts or messages."""
    return [value for found, value in fields(message) if found == number and isinstance(value, bytes)]


def last(message: bytes, *path: int) -> bytes:
    """What a field of a field of ... holds; of several the last one counts, and of none it is empty."""
    for number in path:
        found = messages(message, number)
        message = found[-1] if found else b""
    return message


def text(number: int, value: bytes | str) -> bytes:
    """A field that holds a text or a message."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | LEN) + varint(len(raw)) + raw


def number(field: int, value: int) -> bytes:
    return varint(field << 3 | VARINT) + varint(value)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
