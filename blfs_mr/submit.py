"""``python -m blfs_mr.submit job.py INPUT... -o OUT``: run a job and wait for its end.

With ``--master`` the job goes to running daemons; without it an embedded cluster is started for this one
job, while this process imports its modules, reads the job file and looks at the input. Nothing here is
asynchronous, so that it starts fast. This module is the command line; what it stands for is done in
``blfs_mr.submission``.
"""

from __future__ import annotations

import gc
import sys

if __name__ == "__main__":
    # Before the other imports, which take as long as the embedded cluster does.
    from blfs_mr.submission import supervisor

    supervisor.begin(sys.argv[1:])
    # What is imported lives as long as this process: no use in looking for garbage in it.
    gc.disable()

import signal
from pathlib import Path

import click

from blfs_mr import console
from blfs_mr.submission.request import Submission
from blfs_mr.submission.running import run
from blfs_mr.units import parse_size


class _Size(click.ParamType[str]):
    name = "size"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if parse_size(value) > 0:
                return value
            self.fail("a size must be above 0", param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _params(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise click.BadParameter(f"{name!r} is not of the form NAME=VALUE", ctx, param)
    return {name: value for name, _, value in pairs}


def _compression(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return "" if value == "none" else value


@click.command()
@click.argument("job", type=click.Path(path_type=Path))
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o", "--output", metavar="OUT", help="A new folder for the result; standard output without it."
)
@click.option("--master", metavar="HOST:PORT", help="Use running daemons instead of an embedded cluster.")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_params,
    help="A parameter of the job; may be repeated.",
)
@click.option("--job-class", metavar="NAME", help="Which Job class, where the job file has several.")
@click.option("--reducers", type=click.IntRange(1), help="Reduce tasks, and so parts of the output.")
@click.option("--memory", type=_Size(), help="Memory of one task, such as 256MiB.")
@click.option("--split-size", type=_Size(), help="Bytes of input for one map task, such as 16MiB.")
@click.option(
    "--compression",
    type=click.Choice(["none", "zstd", "lz4"]),
    callback=_compression,
    help="How intermediate data is compressed; as the job file says without it.",
)
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="PATH[:NAME]",
    help="A file that tasks find as NAME in their working folder; may be repeated.",
)
@click.option(
    "--py-module",
    "py_modules",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A .py file or the folder of a package that the job file imports; may be repeated.",
)
@click.option(
    "--no-draining",
    "draining",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Keep map outputs on their volumes when shared files run short.",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Workers of the embedded cluster.")
@click.option("--slots", type=click.IntRange(1), help="Tasks at once on each embedded worker.")
@click.option("-q", "--quiet", is_flag=True, help="Tell of failures only.")  # fmt: skip
def submit(**options: object) -> None:
    """Run the MapReduce job of the file JOB over INPUT: files, folders, globs; .gz and .zst too.

    Exit codes: 0 done, 1 the job failed, 2 wrong usage, 130 interrupted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(Submission(**options))  # type: ignore[arg-type]
    except KeyboardInterrupt:
        raise click.Abort from None  # Left to click, it would print an empty line first.


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    console.run(submit, "python -m blfs_mr.submit")
