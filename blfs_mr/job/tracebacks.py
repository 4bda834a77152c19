"""What a user is shown of an exception: their own frames, not the machinery that called them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import traceback

MODULE_NAME = "__blfs_job__"
"""The name in ``sys.modules`` that a job file runs under. Not ``__main__``: its ``if __name__ ...`` block,
which is there to submit or test the job, must not run in every task."""

MAX_TRACEBACK = 64 * 1024
"""Characters of a traceback. It travels to the master and the submitter in one message, and an exception's
text may hold a whole record."""

_OUR_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


def job_file_of(job_class: type) -> str:
    """Return the path of the file that defines ``job_class``, or else its module's name, for messages."""
    module = sys.modules.get(job_class.__module__)
    return getattr(module, "__file__", None) or job_class.__module__


def user_traceback(exception: BaseException, path: str) -> str:
    """Format ``exception`` with the frames of the job file at ``path`` and of what it called, without ours.

    Frames above the first one of the job file are dropped, and so are this package's frames below it.
    Causes and contexts are treated alike. At most :data:`MAX_TRACEBACK` characters, the middle left out.
    """
    import traceback  # on failure only

    told = traceback.TracebackException.from_exception(exception)
    pending, seen = [told], set[int]()
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = _user_frames(part.stack, path)
        pending += [
            linked for linked in (part.__cause__, part.__context__, *(part.exceptions or ())) if linked
        ]
    text = "".join(told.format())
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _user_frames(stack: traceback.StackSummary, path: str) -> traceback.StackSummary:
    names = [frame.filename for frame in stack]
    first = names.index(path) if path in names else len(names)
    kept = [
        frame
        for frame in stack[first:]
        if frame.filename == path or not frame.filename.startswith(_OUR_FOLDER)
    ]
    return type(stack).from_list(kept)
