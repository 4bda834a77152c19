"""What a user writes a job against: the :class:`Job` class and the :class:`Split` that it may be handed.

The smallest job::

    from blfs_mr import Job

    class WordCount(Job):
        def map(self, record):
            for word in record.split():
                yield word, 1

        def reduce(self, key, values):
            yield key, sum(values)

A job defines ``reduce`` and exactly one of ``map`` and ``map_split``. A missing ``reduce`` is an error and
does not mean "pass everything on": far more often it is a misspelt name, and then a silent copy of the
intermediate data is the worst of answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from blfs_mr.errors import UserCodeError

MAX_COUNTERS = 1000
"""Names of user counters per task. Every task reports its counters to the master, which keeps the sums in
memory for as long as the job runs: a name made from data would grow both without end."""


class Split(Protocol):
    """The piece of input that ``map_split`` gets, and that ``self.split`` is while mapping.

    The piece is ``length`` bytes from ``offset`` of the file at ``path``; ``source`` counts, from 0, which
    INPUT argument the file came from. What is read from it are whole records: those that begin in the piece.
    """

    @property
    def path(self) -> str: ...

    @property
    def offset(self) -> int: ...

    @property
    def length(self) -> int: ...

    @property
    def source(self) -> int: ...

    def read(self) -> bytes:
        """Return the split's whole records as the (decompressed) bytes that stand in the file."""

    def text(self) -> str:
        """Return :meth:`read`, decoded as UTF-8 with ``surrogateescape``: no byte is lost or refused."""

    def lines(self) -> Iterator[str]:
        r"""Yield the split's lines, without their ``\n``, a bounded part of the file in memory at a time."""

    def records(self) -> Iterable[Any]:
        """Iterate over the split's records, in the job's input format."""


class Job:
    """Subclass this. Each attempt of a task makes one instance, so ``self`` may keep what it likes.

    Keys are str, bytes, int, float, bool, None and tuples of these; values may be lists and dicts as well.
    Keys that are equal in Python (1, 1.0 and True) are one key.

    The class attributes below are the job's settings; a size is bytes or ``"64MiB"``, a time is seconds or
    ``"5min"``.
    """

    reducers: int | None = None
    """Reduce tasks, and so output files. None leaves the choice to the submitter."""

    memory: int | str = "256MiB"
    """The memory of one task process."""

    block_size: int | str = "256KiB"
    """The unit in which intermediate data is written, read and verified."""

    max_attempts: int = 4
    """Tries of one task before the job fails."""

    task_timeout: float | str = 0
    """The time that one attempt may take; 0 for no limit."""

    input_format: str = "lines"
    """What a record is. ``lines``: a str without its line end. ``jsonl``: the value of a JSON line. ``csv``:
    a row as a list of str; ``csv-dict``: as a dict by the file's header. ``binary:N``: N bytes. ``file``: the
    tuple (path, bytes) of a whole file. ``records``: the (key, value) pairs that such an output holds."""

    output_format: str = "text"
    """How results are written. ``text``: ``key<TAB>value`` lines. ``jsonl``: ``[key, value]`` lines. ``csv``:
    rows. ``binary``: the bytes of keys and values, nothing else. ``records``: pairs with their types."""

    compression: str | None = None
    """``zstd`` or ``lz4``: intermediate data is written compressed where that makes it smaller."""

    sort_values: bool = False
    """Whether ``reduce`` gets the values of each key sorted."""

    total_order: bool = False
    """Whether the parts of the output, one after the other, are sorted by key, and not just each part."""

    keys: Sequence[str] = ()
    """Columnar jobs: the columns of what ``map_batch`` yields by which rows meet in one ``reduce_batch``."""

    sort_batches: bool = False
    """Columnar jobs: whether ``reduce_batch`` gets its rows sorted by ``keys``. So they are with
    ``total_order``, which goes by the first of them."""

    read_columns: Sequence[str] | None = None
    """Columnar jobs: the columns to read of the input; None for all."""

    batch_schema: Any = None
    """Columnar jobs: the ``pyarrow.Schema`` of what ``map_batch`` yields. Columns that a table lacks become
    null. Without it, all tables must agree by themselves."""

    counters: dict[str, int]
    """What :meth:`count` has counted in this task so far, by full name (``user.NAME``)."""

    source: int
    """While mapping: which INPUT argument, from 0, the current split came from. For joins."""

    split: Split
    """While mapping: the current split."""

    def __new__(cls, *_arguments: object, **_named: object) -> Job:
        # Here rather than in __init__: a subclass with an __init__ of its own need not call ours.
        instance = super().__new__(cls)
        instance.counters = {}
        return instance

    def setup(self) -> None:
        """Called once per task, before its first record or key. It yields nothing."""

    def map(self, record: Any) -> Iterable[tuple[Any, Any]]:
        """Yield any number of ``(key, value)`` pairs for one input record."""
        raise NotImplementedError

    def map_split(self, split: Split) -> Iterable[tuple[Any, Any]]:
        """Yield the pairs of a whole split: in place of ``map``, for jobs that are faster in bulk."""
        raise NotImplementedError

    def combine(self, key: Any, values: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
        """Yield pairs that stand for some of a key's values, before they leave the mapper.

        Optional. It runs any number of times, on any part of the values, so ``reduce`` must come to the same
        result with and without it.
        """
        raise NotImplementedError

    def partition(self, key: Any, partitions: int) -> int:
        """Return which of ``partitions`` reduce tasks, from 0, gets ``key``.

        Optional; without it a stable hash of the key decides. Equal keys must get the same answer.
        """
        raise NotImplementedError

    def reduce(self, key: Any, values: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
        """Yield any number of result pairs for one key. ``values`` can be iterated once, in no set order
        unless ``sort_values`` says so."""
        raise NotImplementedError

    def map_batch(self, table: Any) -> Iterable[Any]:
        """Yield any number of ``pyarrow.Table`` for one of input rows: in place of ``map``."""
        raise NotImplementedError

    def reduce_batch(self, table: Any) -> Iterable[Any]:
        """Yield any number of ``pyarrow.Table`` of results for one of rows: in place of ``reduce``.

        It is the whole partition, if memory allows; else some of it, but all rows of each key that it has.
        """
        raise NotImplementedError

    def cleanup(self) -> None:
        """Called once per task, after its last record or key. It yields nothing."""

    def count(self, name: str, n: int = 1) -> None:
        """Add ``n`` to the counter ``name``; the sums over all successful tasks are shown at the end."""
        if type(n) is not int:
            raise TypeError(f"count({name!r}, {n!r}): a counter counts in int, not in {type(n).__name__}")
        full_name = f"user.{name}"
        counters = self.counters
        if full_name in counters:
            counters[full_name] += n
        elif len(counters) < MAX_COUNTERS:
            counters[full_name] = n
        else:
            raise UserCodeError(
                f"{name!r} would be counter number {MAX_COUNTERS + 1} of this task; counters are for a fixed"
                " set of names: yield what depends on the data as pairs"
            )

    if not TYPE_CHECKING:  # a visible __getattr__ would tell type checkers that a Job has any attribute

        def __getattr__(self, name: str) -> Any:
            hint = "; it is set while mapping only" if name in ("source", "split") else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")


def overrides(job_class: type[Job], name: str) -> bool:
    """Tell whether ``job_class``, or a class between it and :class:`Job`, defines the method or setting."""
    return any(name in vars(base) for base in _bases_of(job_class))


def _bases_of(job_class: type[Job]) -> Iterator[type]:
    for base in job_class.__mro__:
        if base is not Job and base is not object:
            yield base


def problem_with(job_class: type[Job]) -> str | None:
    """Return, in one sentence, why ``job_class`` cannot be run as a job; None if it can."""
    name = job_class.__name__
    if overrides(job_class, "map_batch") or overrides(job_class, "reduce_batch"):
        from blfs_mr.job.columnar import problem_with_columnar  # most jobs never need it

        problem = problem_with_columnar(job_class)
        return f"{name} {problem}" if problem else _problem_with_methods(job_class)
    if not overrides(job_class, "reduce"):
        return f"{name} defines no reduce(self, key, values)"
    maps = [method for method in ("map", "map_split") if overrides(job_class, method)]
    if len(maps) != 1:
        defined = "both map and map_split" if maps else "neither map(self, record) nor map_split(self, split)"
        return f"{name} defines {defined}; a job defines exactly one of them"
    return _problem_with_methods(job_class)


def _problem_with_methods(job_class: type[Job]) -> str | None:
    for method, arguments in _ARGUMENTS.items():
        if problem := _problem_with_method(job_class, method, arguments):
            return f"{job_class.__name__}.{method} {problem}"
    return None


_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "setup": (),
    "map": ("record",),
    "map_split": ("split",),
    "combine": ("key", "values"),
    "partition": ("key", "partitions"),
    "reduce": ("key", "values"),
    "map_batch": ("table",),
    "reduce_batch": ("table",),
    "cleanup": (),
}

_TAKES_ANY_ARGUMENTS = 0x04
_IS_GENERATOR = 0x20
_IS_ASYNC = 0x80 | 0x200
"""Flags of code objects, as documented for ``inspect.CO_VARARGS`` and its neighbours."""


def _problem_with_method(job_class: type[Job], method: str, arguments: tuple[str, ...]) -> str | None:
    """Find what would only fail, or silently do nothing, once the job runs.

    Anything but a plain function (a decorated method, a partial) is trusted.
    """
    defined = next((vars(base)[method] for base in _bases_of(job_class) if method in vars(base)), None)
    code = getattr(defined, "__code__", None)
    if code is None:
        return "is not a method" if defined is not None and not _is_method_like(defined) else None
    if code.co_flags & _IS_ASYNC:
        return "is async; jobs are plain functions and generators"
    if method in ("setup", "cleanup", "partition") and code.co_flags & _IS_GENERATOR:
        return "yields; only map, map_split, combine and reduce do"
    most = code.co_argcount - 1
    least = most - len(getattr(defined, "__defaults__", None) or ())
    if not least <= len(arguments) <= most and not code.co_flags & _TAKES_ANY_ARGUMENTS:
        return f"must take ({', '.join(('self', *arguments))})"
    return None


def _is_method_like(defined: object) -> bool:
    return callable(defined) or hasattr(defined, "__get__")
