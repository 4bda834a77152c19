"""What we are compared with, or need for it: whether it can be run here, and in which version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess

EXTRAS = {"dask": "bench", "pyspark": "bench", "mrjob": "bench", "pyarrow": "arrow"}
"""The packages that rows need, and which of our extras brings each."""

_PROGRAMS = {"fio": ("fio", "--version"), "java": ("java", "-version"), "sort": ("sort", "--version")}


def why_absent(package: str) -> str:
    """Why the Python package ``package`` cannot be run here; empty when it can."""
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed (pip install 'blfs-mr[{EXTRAS[package]}]')"
    if package == "pyspark" and shutil.which("java") is None:
        return "pyspark needs Java 17, and there is no java here"
    return ""


def versions() -> dict[str, str]:
    """The versions of all that is here of it."""
    found = {name: importlib.metadata.version(name) for name in EXTRAS if importlib.util.find_spec(name)}
    for name, command in _PROGRAMS.items():
        if shutil.which(name):
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            found[name] = (said.stdout or said.stderr).splitlines()[0]
    return found
