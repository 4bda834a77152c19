"""Runs a click command as a process: the exit codes, errors and output that all our commands share.

====  =======================================================================
code  meaning
====  =======================================================================
0     done
1     the job failed, or something else went wrong that is not the caller's
2     what was asked for cannot be done as asked: options, files, configuration
130   interrupted from the keyboard (128 and the number of SIGINT, as shells have it)
====  =======================================================================

An error that we know is one line, ``error: ...``: a traceback of ours tells its reader nothing. An exception
that is not of our tree is a bug, and keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from blfs_mr.errors import BlfsMrError, JobFileError, UsageError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def run(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``command`` as the program ``name`` with ``arguments`` (default: the process') and exit."""
    try:
        status = command.main(arguments, prog_name=name, standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            print(error.ctx.get_usage(), file=sys.stderr)
            print(f"Try '{error.ctx.command_path} --help' for help.", file=sys.stderr)
        _fail(error.format_message(), error.exit_code)
    except JobFileError as error:
        if error.traceback:
            print(error.traceback.rstrip("\n"), file=sys.stderr)
        _fail(str(error), EXIT_USAGE)
    except UsageError as error:
        _fail(str(error), EXIT_USAGE)
    except BlfsMrError as error:
        _fail(str(error), EXIT_FAILED)
    # Outside of its standalone mode click returns what the command did, or the code of an early exit.
    sys.exit(status if isinstance(status, int) else 0)


def write_out(content: bytes) -> None:
    """Write all of ``content`` to standard output, which without a buffer (PYTHONUNBUFFERED) may take less.

    Raises OSError.
    """
    view = memoryview(content)
    while view:
        view = view[sys.stdout.buffer.write(view) :]


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
