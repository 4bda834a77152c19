"""The user's API and how a job file becomes a Job class. Imported by task processes: cheap imports only.

A job file is one Python file with one subclass of :class:`Job`, or one of :class:`Steps` and the jobs it
lists. The workers get its source and the side files that were named, and nothing else that lies beside it.

Rooms: ``api`` is what the user writes against, ``steps`` how several jobs make one program, ``params`` the
values given with ``--param``, ``settings`` what the class asks of the system, ``side_files`` what
travels with a job, ``loading`` the way from a file to a class, ``tracebacks`` the way from an exception to
what the user is shown.
"""

from blfs_mr.job.api import Job, Split, overrides
from blfs_mr.job.loading import LoadedJob, load_job_source, load_steps
from blfs_mr.job.params import Param, bind_params, instantiate
from blfs_mr.job.settings import ClassSettings, read_settings
from blfs_mr.job.side_files import place, placed
from blfs_mr.job.steps import Steps
from blfs_mr.job.tracebacks import user_traceback

__all__ = [
    "ClassSettings",
    "Job",
    "LoadedJob",
    "Param",
    "Split",
    "Steps",
    "bind_params",
    "instantiate",
    "load_job_source",
    "load_steps",
    "overrides",
    "place",
    "placed",
    "read_settings",
    "user_traceback",
]
