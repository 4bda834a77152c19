"""Quickly made dataclasses behave as those of the standard library do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from blfs_mr.values import dataclass as quick


def make(decorator: Any) -> Any:
    @decorator(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 2
        tags: list[str] = dataclasses.field(default_factory=list, hash=None)

        @property
        def total(self) -> int:
            return self.x + self.y

    return Point


QUICK, ORIGINAL = make(quick), make(dataclasses.dataclass)
BOTH = pytest.mark.parametrize("point", [QUICK, ORIGINAL], ids=["quick", "original"])


@BOTH
def test_values_come_by_place_by_name_and_by_default(point: Any) -> None:
    for made in (point(1, 2, []), point(1), point(x=1), point(1, tags=[]), point(1, y=2)):
        assert (made.x, made.y, made.tags, made.total) == (1, 2, [], 3)
    assert point(1).tags is not point(1).tags


@BOTH
@pytest.mark.parametrize(
    ("given", "named"), [((), {}), ((1, 2, [], 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1})]
)
def test_a_wrong_call_is_a_type_error(point: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        point(*given, **named)


@BOTH
def test_nothing_can_be_changed_or_added(point: Any) -> None:
    made = point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.x
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        made.new = 2
    assert made.x == 1
    assert not hasattr(made, "__dict__")


@BOTH
def test_equality_hash_and_repr_go_by_the_values(point: Any) -> None:
    assert point(1) == point(1)
    assert point(1) != point(2)
    assert point(1) != (1, 2, [])
    assert hash(point(1, 2, ())) == hash(point(1, 2, ()))
    assert repr(point(1)) == "make.<locals>.Point(x=1, y=2, tags=[])"


@BOTH
def test_the_functions_of_dataclasses_work(point: Any) -> None:
    made = dataclasses.replace(point(1), y=5)
    assert dataclasses.is_dataclass(made)
    assert dataclasses.asdict(made) == {"x": 1, "y": 5, "tags": []}
    assert [field.name for field in dataclasses.fields(point)] == ["x", "y", "tags"]
    match made:
        case point(x, y, _):
            assert (x, y) == (1, 5)
        case _:
            pytest.fail("it matches by place")


def test_one_without_fields_is_a_value_too() -> None:
    @quick(frozen=True, slots=True)
    class Nothing:
        pass

    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert repr(Nothing()).endswith("Nothing()")
    with pytest.raises(TypeError):
        Nothing(1)  # type: ignore[call-arg]


def test_what_a_class_defines_itself_stays() -> None:
    @quick(frozen=True, slots=True)
    class Named:
        name: str

        def __repr__(self) -> str:
            return f"<{self.name}>"

    assert repr(Named("a")) == "<a>"
    assert Named("a") == Named("a")


def test_other_kinds_are_left_to_the_standard_library() -> None:
    @quick(slots=True)
    class Open:
        x: int

    opened = Open(1)
    opened.x = 2
    assert opened == Open(2)

    @quick(frozen=True, slots=True)
    class Checked:
        x: int

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        Checked(-1)
