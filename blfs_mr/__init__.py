"""MapReduce whose reducers read the mappers' data straight from shared block devices.

The public names: :class:`Job`, :class:`Steps` and :class:`Param` to write a job with, the exception tree's
root, and the version. Everything else is reached through its own module. The names are imported when they are
first used: a process that runs any part of the package imports this module before all else.
"""

# Checkers know the name; ``typing`` itself would be the slowest part of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from blfs_mr.errors import BlfsMrError
    from blfs_mr.job import Job, Param, Steps

__version__ = "0.1.0"

__all__ = ["BlfsMrError", "Job", "Param", "Steps", "__version__"]

_HOMES = {
    "BlfsMrError": "blfs_mr.errors",
    "Job": "blfs_mr.job",
    "Param": "blfs_mr.job",
    "Steps": "blfs_mr.job",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
