"""The user's API and how a job file becomes a Job class. Imported by task processes: cheap imports only.

A job file is one Python file with one subclass of :class:`Job`. It travels alone: the workers get its source
and nothing that lies beside it, so it may import what is installed on them and nothing else.

Rooms: ``api`` is what the user writes against, ``params`` the values given with ``--param``, ``settings``
what the class asks of the system, ``loading`` the way from a file to a class, ``tracebacks`` the way
from an exception to what the user is shown.
"""

from blfs_mr.job.api import Job, Split, overrides
from blfs_mr.job.loading import LoadedJob, load_job, load_job_source
from blfs_mr.job.params import Param, bind_params, instantiate
from blfs_mr.job.settings import ClassSettings, read_settings
from blfs_mr.job.tracebacks import user_traceback

__all__ = [
    "ClassSettings",
    "Job",
    "LoadedJob",
    "Param",
    "Split",
    "bind_params",
    "instantiate",
    "load_job",
    "load_job_source",
    "overrides",
    "read_settings",
    "user_traceback",
]
