"""Decoding byte strings to code points and back as TensorFlow (ICU) does: byte offsets, one replacement per malformed part."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from tracer.errors import InvalidArgumentError

__all__ = ["codec_of", "decode_with_offsets", "encode"]

# A malformed part of the input, among code points.
BAD = -1

_OUTPUT = {b"UTF-8": "utf-8", b"UTF-16-BE": "utf-16-be", b"UTF-32-BE": "utf-32-be"}


def codec_of(encoding: bytes) -> str:
    """Python's name of an encoding. Raises InvalidArgumentError for an unknown one."""
    name = encoding.decode("latin1")
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    if found is None or not found._is_text_encoding:
        raise InvalidArgumentError(f"Could not create converter for input encoding: {name}")
    return found.name


def decode_with_offsets(data: bytes, codec: str) -> tuple[list[int], list[int]]:
    """The code points of `data` (-1 for a malformed part), and the byte offset at which each starts."""
    if codec == "ascii" or (codec == "utf-8" and data.isascii()):
        return [c if c < 128 else BAD for c in data], list(range(len(data)))
    start = 0
    if codec in ("utf-16", "utf-32"):
        width = 2 if codec == "utf-16" else 4
        little = data.startswith(b"\xff\xfe\x00\x00" if width == 4 else b"\xff\xfe")
        big = data.startswith(b"\x00\x00\xfe\xff" if width == 4 else b"\xfe\xff")
        start = width if little or big else 0
        codec += "-le" if little else "-be"
    codes: list[int] = []
    offsets: list[int] = []

    def add(text: str, at: int) -> None:
        for char in text:
            codes.append(ord(char))
            offsets.append(at)
            at += len(char.encode(codec))

    while start < len(data):
        try:
            add(data[start:].decode(codec), start)
            break
        except UnicodeDecodeError as error:
            add(data[start : start + error.start].decode(codec), start)
            codes.append(BAD)
            offsets.append(start + error.start)
            start += max(error.end, error.start + 1)
    return codes, offsets


def encode(codes: Iterable[int], encoding: bytes) -> bytes:
    """Code points as bytes; surrogates stay in UTF-16 and UTF-32 and become U+FFFD in UTF-8."""
    text = "".join(map(chr, codes))
    if encoding == b"UTF-8":
        return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text).encode()
    return text.encode(_OUTPUT[encoding], "surrogatepass")
