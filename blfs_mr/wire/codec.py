"""Messages to bytes and back: an envelope in msgpack, held to the closed vocabulary of one direction.

The envelope is a map of ``type`` (the message's name), ``body`` (its fields), and for requests ``id``, for
replies ``reply_to``. What comes in is checked completely (see ``blfs_mr.wire.fields``) before anything else
sees it; whatever the bytes are, decoding raises nothing but :class:`ProtocolError`.
"""

from __future__ import annotations

import types
import typing
from functools import cache

import msgpack  # type: ignore[import-untyped]

from blfs_mr.errors import FrameTooLarge, InternalError, MalformedFrame, MalformedMessage
from blfs_mr.values import dataclass
from blfs_mr.wire.fields import FieldMismatch, converter, field_names, shown
from blfs_mr.wire.frames import MAX_FRAME
from blfs_mr.wire.messages.base import Message

# Python strings may hold lone surrogates: file names that are not UTF-8 do, and so may the text of a user's
# exception. "surrogatepass" carries every string exactly; "surrogateescape" merges some and refuses others.
_SURROGATES = "surrogatepass"

_ENVELOPE_KEYS = frozenset(("type", "body", "id", "reply_to"))


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with its place in a conversation.

    A request has an ``id``, unique among the sender's requests on this link; its reply has the same number
    as ``reply_to``; a notification has neither. Nothing has both.
    """

    message: Message
    id: int | None = None
    reply_to: int | None = None


class Codec:
    """Encodes and decodes the messages that one direction of a link allows.

    ``vocabulary`` is one of the unions at the end of ``blfs_mr.wire.messages``. Use :func:`codec_for`, which
    keeps one codec for each. Not for use by several threads at once.
    """

    def __init__(self, vocabulary: types.UnionType) -> None:
        self._types: dict[str, type] = {one.__name__: one for one in typing.get_args(vocabulary)}
        self._allowed = frozenset(self._types.values())
        self._packer = msgpack.Packer(default=_to_map, unicode_errors=_SURROGATES)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the messages allowed, in the order of their definition."""
        return tuple(self._types)

    def allows(self, message_type: type) -> bool:
        """Whether messages of this type may cross the link in this direction."""
        return message_type in self._allowed

    def prepare(self) -> None:
        """Build what decoding builds when it is first needed, in a process that forks others which decode."""
        for message_type in self._allowed:
            converter(message_type)

    def encode(self, envelope: Envelope) -> bytes:
        """The body of the frame that carries ``envelope``.

        Raises :class:`InternalError` for a message that this direction does not know or a value that msgpack
        cannot carry (an integer above 64 bits), :class:`FrameTooLarge` for a message above the cap.
        """
        message = envelope.message
        name = type(message).__name__
        if type(message) not in self._allowed:
            raise InternalError(
                f"{name} may not be sent over this link; it may carry {', '.join(self.names)}"
            )
        outer: dict[str, object] = {"type": name}
        if envelope.id is not None:
            outer["id"] = envelope.id
        if envelope.reply_to is not None:
            outer["reply_to"] = envelope.reply_to
        outer["body"] = message
        try:
            body: bytes = self._packer.pack(outer)
        except (OverflowError, TypeError, ValueError) as error:
            raise InternalError(f"{name} holds a value that cannot be sent: {error}") from error
        if len(body) > MAX_FRAME:
            raise FrameTooLarge(f"{name} takes {len(body)} bytes; a message may have at most {MAX_FRAME}")
        return body

    def decode(self, body: bytes) -> Envelope:
        """The envelope in a frame's body.

        Raises :class:`MalformedFrame` for what is no envelope, :class:`MalformedMessage` for a message of an
        unknown name or with fields that do not fit, naming the field and what is allowed there.
        """
        outer = _unpack(body)
        if not outer.keys() <= _ENVELOPE_KEYS or "type" not in outer or "body" not in outer:
            raise MalformedFrame(f"an envelope with the keys {shown(', '.join(map(str, outer)))}")
        name = outer["type"]
        message_type = self._types.get(name) if type(name) is str else None
        if message_type is None:
            raise MalformedMessage(f"unknown message {shown(name)}; allowed are {', '.join(self.names)}")
        number, reply_to = outer.get("id"), outer.get("reply_to")
        if number is not None or reply_to is not None:
            _check_numbers(number, reply_to)
        try:
            message: Message = converter(message_type)(outer["body"])
        except FieldMismatch as mismatch:
            raise MalformedMessage(f"{name}{mismatch.path} {mismatch}") from None
        return Envelope(message, number, reply_to)


@cache
def codec_for(vocabulary: types.UnionType) -> Codec:
    """The one codec of a vocabulary."""
    return Codec(vocabulary)


def _to_map(value: typing.Any) -> dict[str, object]:
    # msgpack asks for all that it cannot pack, integers beyond its range among it.
    if isinstance(value, int):
        raise OverflowError("an integer of more than 64 bits")
    cls: type = type(value)
    return {name: getattr(value, name) for name in field_names(cls)}


def _unpack(body: bytes) -> dict[object, typing.Any]:
    # unpackb bounds every announced length by that of the body, and nesting at 511: a short body cannot
    # announce a large array. Keys are strings or bytes only, so a body cannot hold unhashable keys either.
    try:
        outer = msgpack.unpackb(body, use_list=False, strict_map_key=True, unicode_errors=_SURROGATES)
    except ValueError as error:
        raise MalformedFrame(f"a frame that is no msgpack: {error or type(error).__name__}") from None
    if type(outer) is not dict:
        raise MalformedFrame(f"a frame that is no map but {shown(outer)}")
    return outer


def _check_numbers(number: object, reply_to: object) -> None:
    for value in (number, reply_to):
        if value is not None and (type(value) is not int or value < 1):
            raise MalformedFrame(f"a request's number must be an integer from 1 on, not {shown(value)}")
    if number is not None and reply_to is not None:
        raise MalformedFrame("an envelope that is a request and a reply at once")
