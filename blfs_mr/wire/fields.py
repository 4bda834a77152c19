"""From what msgpack unpacked to frozen dataclasses: validation derived from their annotations.

For each type a small function is built once, when it is first needed, so that a process pays only for the
messages it really receives. Field types are scalars (``str int float bool bytes None``) and ``NewType`` of
them, string enums, ``tuple[X, ...]``, ``dict[str, X]``, unions of scalars, ``X | None`` and other frozen
dataclasses of such fields. Nothing is coerced but a whole number where a float is expected. Every field
must be there, and no other: both ends speak one version of the protocol, so a difference is an error.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache

from blfs_mr.errors import InternalError

Converter = Callable[[object], typing.Any]

_SCALARS: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    bytes: "bytes",
    types.NoneType: "null",
}

SHOWN = 60
"""Characters of a refused value that an error repeats: enough to recognise it, too few to flood a log."""


class FieldMismatch(Exception):
    """A value that does not fit. ``path`` grows outwards while the exception passes the enclosing values."""

    def __init__(self, allowed: str, value: object) -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.value = value
        self.path = ""

    def within(self, step: str) -> FieldMismatch:
        """Name one more enclosing step (``.field`` or ``[index]``), and return itself to be raised again."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"must be {self.allowed}, not {shown(self.value)}"


def shown(value: object) -> str:
    """A short, printable form of a value that a peer sent."""
    if isinstance(value, str | bytes) and len(value) > SHOWN:
        return f"{value[:SHOWN]!r}... ({len(value)} long)"
    if isinstance(value, dict | tuple):
        return f"{'a map' if isinstance(value, dict) else 'an array'} of {len(value)}"
    return repr(value) if isinstance(value, tuple(_SCALARS)) else f"a {type(value).__name__}"


@cache
def field_names(message_type: type) -> tuple[str, ...]:
    """The names of a dataclass's fields, in order. Raises :class:`TypeError` for any other type."""
    return tuple(field.name for field in fields(message_type))


@cache
def converter(annotation: object) -> Converter:
    """The function that checks and converts one unpacked value; it raises :class:`FieldMismatch`.

    Raises :class:`InternalError` for an annotation that messages do not support.
    """
    while isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__
    if annotation is None:
        annotation = types.NoneType
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _array(converter(arguments[0]))
    if origin is dict and arguments[0] is str:
        return _map(converter(arguments[1]))
    if origin in (types.UnionType, typing.Union):
        return _union(arguments)
    if isinstance(annotation, type):
        if annotation is float:
            return _float
        if annotation in _SCALARS:
            return _scalars((annotation,))
        if issubclass(annotation, enum.StrEnum):
            return _enum(annotation)
        if is_dataclass(annotation):
            return _dataclass(annotation)
    raise InternalError(f"a message field cannot be of type {annotation}")


def _float(value: object) -> float:
    # Exact types throughout: bool is a subclass of int, and true is no number.
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    raise FieldMismatch(_SCALARS[float], value)


def _scalars(allowed: tuple[type, ...]) -> Converter:
    allowed_set = frozenset(allowed)
    described = " or ".join(_SCALARS[one] for one in allowed)

    def convert(value: object) -> object:
        if type(value) in allowed_set:
            return value
        raise FieldMismatch(described, value)

    return convert


def _enum(enumeration: type[enum.StrEnum]) -> Converter:
    members = {member.value: member for member in enumeration}
    described = "one of " + ", ".join(members)

    def convert(value: object) -> enum.StrEnum:
        if type(value) is str and value in members:
            return members[value]
        raise FieldMismatch(described, value)

    return convert


def _array(item: Converter) -> Converter:
    def convert(value: object) -> tuple[object, ...]:
        if type(value) is not tuple:
            raise FieldMismatch("an array", value)
        converted: list[object] = []
        for entry in value:
            try:
                converted.append(item(entry))
            except FieldMismatch as mismatch:
                raise mismatch.within(f"[{len(converted)}]") from None
        return tuple(converted)

    return convert


def _map(item: Converter) -> Converter:
    def convert(value: object) -> dict[str, object]:
        if type(value) is not dict:
            raise FieldMismatch("a map", value)
        converted: dict[str, object] = {}
        for key, entry in value.items():
            if type(key) is not str:
                raise FieldMismatch("a map with strings as keys", key)
            try:
                converted[key] = item(entry)
            except FieldMismatch as mismatch:
                raise mismatch.within(f"[{shown(key)}]") from None
        return converted

    return convert


def _union(members: tuple[object, ...]) -> Converter:
    if len(members) == 2 and types.NoneType in members:
        (other,) = (member for member in members if member is not types.NoneType)
        inner = converter(other)
        return lambda value: None if value is None else inner(value)
    scalars = tuple(member for member in members if isinstance(member, type) and member in _SCALARS)
    if len(scalars) != len(members):
        raise InternalError(f"a message field cannot be any of {members}: only scalars form a union")
    return _scalars(scalars)


def _dataclass(cls: type) -> Converter:
    annotations = typing.get_type_hints(cls)
    names = field_names(cls)
    expected = frozenset(names)
    conversions = tuple((name, converter(annotations[name])) for name in names)
    described = f"a map with the fields {', '.join(names)}" if names else "a map without fields"

    def convert(value: object) -> object:
        if type(value) is not dict:
            raise FieldMismatch(described, value)
        if value.keys() != expected:
            raise _wrong_fields(value, names)
        arguments: list[object] = []
        for name, convert_field in conversions:
            try:
                arguments.append(convert_field(value[name]))
            except FieldMismatch as mismatch:
                raise mismatch.within(f".{name}") from None
        return cls(*arguments)

    return convert


class WrongFields(FieldMismatch):
    """A map that lacks a field or has one that its dataclass does not know."""

    def __str__(self) -> str:
        return self.allowed


def _wrong_fields(value: dict[object, object], names: tuple[str, ...]) -> WrongFields:
    known = f"the fields are {', '.join(names)}" if names else "there are no fields"
    for name in names:
        if name not in value:
            return WrongFields(f"lacks the field {name}; {known}", value)
    unknown = next(name for name in value if name not in names)
    return WrongFields(f"has an unknown field {shown(unknown)}; {known}", value)
