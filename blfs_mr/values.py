"""Frozen dataclasses that are quickly made.

``dataclasses.dataclass`` writes and compiles source for each method of each class, most of all for frozen
ones. For the some hundred values that cross links and state machines, that was half of what a process took to
start. Here they share their methods. They are dataclasses all the same: ``fields``, ``replace``, ``asdict``
and pattern matching work, and a type checker sees nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(**options: Any) -> Callable[[type], type]:
        """``dataclasses.dataclass``, quicker for ``frozen=True, slots=True``."""
        if options != {"frozen": True, "slots": True}:
            return dataclasses.dataclass(**options)
        return _frozen


def _frozen(cls: type) -> type:
    if hasattr(cls, "__post_init__"):
        return dataclasses.dataclass(frozen=True, slots=True)(cls)
    # What a class defines itself stays, as it does with the original.
    own = vars(cls).keys()
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields = dataclasses.fields(made)
    for name, method in _methods(made, fields).items():
        if name not in own:
            setattr(made, name, method)
    return made


def _methods(cls: type, fields: tuple[dataclasses.Field[Any], ...]) -> dict[str, Callable[..., Any]]:
    names = tuple(field.name for field in fields)
    # Past ``__setattr__``, which refuses.
    setters = tuple(getattr(cls, name).__set__ for name in names)
    values: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()

    def __init__(self: object, *given: Any, **named: Any) -> None:
        if named or len(given) != len(setters):
            given = _bound(cls, fields, given, named)
        for set_value, value in zip(setters, given, strict=True):
            set_value(self, value)

    def __eq__(self: object, other: object) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:
        return hash(values(self))

    def __repr__(self: object) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return {
        "__init__": __init__,
        "__eq__": __eq__,
        "__hash__": __hash__,
        "__repr__": __repr__,
        "__setattr__": _refuse_setting,
        "__delattr__": _refuse_deleting,
    }


def _bound(
    cls: type, fields: tuple[dataclasses.Field[Any], ...], given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """All values in order, named ones and defaults among them. Raises TypeError as any call does."""
    if len(given) > len(fields):
        raise TypeError(f"{cls.__qualname__} takes {len(fields)} values; {len(given)} were given")
    bound = list(given)
    for field in fields[len(given) :]:
        if field.name in named:
            bound.append(named.pop(field.name))
        elif field.default is not dataclasses.MISSING:
            bound.append(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            bound.append(field.default_factory())
        else:
            raise TypeError(f"{cls.__qualname__} lacks a value for {field.name!r}")
    if named:
        raise TypeError(f"{cls.__qualname__} got {', '.join(map(repr, named))}, unknown or given twice")
    return tuple(bound)


def _refuse_setting(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
