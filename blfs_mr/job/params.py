"""Parameters: values that a job takes from its submitter (``--param pattern=error``).

A parameter is declared in the class, ``pattern = Param(str, help="what to look for")``, and read as
``self.pattern``. Values cross the wire typed, so a worker never parses them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast, overload

from blfs_mr.errors import JobFileError
from blfs_mr.job.api import Job
from blfs_mr.job.tracebacks import job_file_of
from blfs_mr.model import Param as ParamValue

T = TypeVar("T")


class _Required:
    """The default of a parameter that has none."""


_REQUIRED: Any = _Required()

_TRUTHS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Param(Generic[T]):
    """One parameter of a job: a descriptor that reads as its value on instances made by :func:`instantiate`.

    ``type`` is str, int, float or bool. Without a ``default`` the submitter must give a value; ``None`` may
    be the default of any type.
    """

    def __init__(self, type: type[T], *, default: T = _REQUIRED, help: str = "") -> None:
        if type not in (str, int, float, bool):
            raise JobFileError(f"a parameter is a str, int, float or bool, not {type!r}")
        if type is float and isinstance(default, int):
            default = cast(T, float(default))
        if not isinstance(default, (_Required, type)) and default is not None:
            raise JobFileError(f"default={default!r} is not of the parameter's type, {type.__name__}")
        self.type, self.default, self.help = type, default, help
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def required(self) -> bool:
        """Whether the submitter must give a value."""
        return isinstance(self.default, _Required)

    @overload
    def __get__(self, instance: None, owner: type) -> Param[T]: ...

    @overload
    def __get__(self, instance: Job, owner: type) -> T: ...

    def __get__(self, instance: Job | None, owner: type) -> Param[T] | T:
        # Reached only while the instance holds no value of its own: without __set__, an entry in its
        # __dict__ comes first, and reads as fast as any attribute does.
        if instance is None:
            return self
        if self.required:
            # Not an AttributeError: that would be taken for "look elsewhere", and end as "no such attribute".
            raise JobFileError(f"parameter {self.name!r} of {owner.__name__} was given no value")
        return self.default

    def parse(self, text: str) -> ParamValue:
        """Turn what the submitter typed into a value. Raises ValueError if it is none of this type."""
        if self.type is bool:
            try:
                return _TRUTHS[text.strip().lower()]
            except KeyError:
                raise ValueError(f"{text!r} is neither true nor false") from None
        return cast(ParamValue, self.type(text))  # type: ignore[call-arg]

    def describe(self) -> str:
        """Return one line for a person: name, type, default, help."""
        asked = "required" if self.required else f"default {self.default!r}"
        return f"{self.name} ({self.type.__name__}, {asked})" + (f": {self.help}" if self.help else "")


def params_of(job_class: type[Job]) -> dict[str, Param[Any]]:
    """Return the parameters that a job class declares or inherits, in the order of declaration."""
    found: dict[str, Any] = {}
    for base in reversed(job_class.__mro__):
        found |= {
            name: value for name, value in vars(base).items() if isinstance(value, Param) or name in found
        }
    return {name: value for name, value in found.items() if isinstance(value, Param)}


def problem_with_params(job_class: type[Job]) -> str | None:
    """Return, in one sentence, which parameter hides a name that :class:`Job` uses; None if none does."""
    taken = vars(Job).keys() | Job.__annotations__.keys()
    hiding = [name for name in params_of(job_class) if name in taken]
    return f"parameter {hiding[0]!r} has the name of a part of Job; choose another" if hiding else None


def bind_params(
    job_classes: Sequence[type[Job]], given: Mapping[str, str]
) -> tuple[dict[str, ParamValue], ...]:
    """Return the typed values of each step's parameters: those ``given`` as text, defaults for the others.

    A step gets those that it declares; a name that several declare is given to all of them. A parameter whose
    default is None and that was not given is left out. Raises :class:`JobFileError` with every problem at
    once, and a list of what the jobs take.
    """
    declared = [params_of(job_class) for job_class in job_classes]
    taken = {name: param for params in declared for name, param in params.items()}
    problems = {
        f"no parameter {name!r}{_did_you_mean(name, taken)}": None for name in given if name not in taken
    }
    bound: list[dict[str, ParamValue]] = []
    for params in declared:
        values: dict[str, ParamValue] = {}
        for name, param in params.items():
            if name in given:
                try:
                    values[name] = param.parse(given[name])
                except ValueError:
                    problems[f"{name}={given[name]!r} is not of type {param.type.__name__}"] = None
            elif param.required:
                problems[f"parameter {name!r} is required: --param {name}=..."] = None
            elif param.default is not None:
                values[name] = param.default
        bound.append(values)
    if problems:
        takes = "".join(f"\n  {param.describe()}" for param in taken.values())
        names = " and ".join(dict.fromkeys(job_class.__name__ for job_class in job_classes))
        raise JobFileError(
            f"{job_file_of(job_classes[0])}: {'; '.join(problems)}\n{names} takes"
            + (f" these parameters:{takes}" if takes else " no parameters")
        )
    return tuple(bound)


def instantiate(job_class: type[Job], params: Mapping[str, ParamValue]) -> Job:
    """Make the job object of one task. Its parameters can be read from its ``__init__`` on."""
    job = job_class.__new__(job_class)
    job.__dict__.update(params)
    job.__init__()  # type: ignore[misc]  # after the parameters are in place, so not through the class call
    return job


def _did_you_mean(name: str, params: Mapping[str, object]) -> str:
    import difflib  # for the error only

    close = difflib.get_close_matches(name, params, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
