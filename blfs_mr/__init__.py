"""MapReduce whose reducers read the mappers' data straight from shared block devices.

The public names: :class:`Job`, :class:`Steps` and :class:`Param` to write a job with, the exception tree's
root, and the version. Everything else is reached through its own module, so that this one is cheap to
import.
"""

from blfs_mr.errors import BlfsMrError
from blfs_mr.job import Job, Param, Steps

__version__ = "0.1.0"

__all__ = ["BlfsMrError", "Job", "Param", "Steps", "__version__"]
