"""Owns messages in text format: saved_model.pbtxt and the file `checkpoint`; refuses fields and types that it does not know.

TensorFlow refuses those too: a text says a field by its name, so an unknown one cannot be kept as it can in bytes.
An Any is written out as `[type.googleapis.com/tensorflow.AssetFileDef] { ... }` and read back into its bytes.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from savedmodel.format import protos
from savedmodel.format.errors import FormatError

__all__ = ["parse_text", "print_text"]

M = TypeVar("M", bound=Message)


def parse_text(message_type: type[M], text: str | bytes, where: str = "", *, allow_unknown: bool = False) -> M:
    """The message of `message_type` that a text holds.

    Args:
        message_type: a class of `protos`.
        text: the text; bytes are UTF-8.
        where: the name of the file, for errors.
        allow_unknown: drop fields that the message does not have. The result then holds less than the text.

    Raises:
        FormatError: not such a message; the text names line and column.
    """
    where = where or "text"
    name = message_type.DESCRIPTOR.name
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise FormatError(
                f"{where}:{line}: expected {name} in text format, received bytes that are no UTF-8"
            ) from error
    message = message_type()
    try:
        text_format.Parse(text, message, allow_unknown_field=allow_unknown, descriptor_pool=protos.pool())
    except text_format.ParseError as error:
        row, column = error.GetLine(), error.GetColumn()
        place = "" if row is None else f":{row}" if column is None else f":{row}:{column}"
        reason = str(error)
        prefix = f"{row}:{column} : "
        raise FormatError(
            f"{where}{place}: expected {name} in text format, received something else: {reason.removeprefix(prefix)}"
        ) from error
    except RecursionError as error:
        raise FormatError(
            f"{where}: expected {name} in text format, received messages nested too deep to read"
        ) from error
    return message


def print_text(message: Message) -> str:
    """The text of a message: fields by number, entries of maps by key. The same message gives the same text."""
    return text_format.MessageToString(message, descriptor_pool=protos.pool())
