"""The project and what it depends on, as wheels for hosts that reach no package index.

They are made again from what is installed here (the files of each distribution are listed in its RECORD), so
what a host gets is what the operator runs, and no build or download is needed. Modules are compiled here, and
not by every host. A folder of wheels stands in for hosts whose Python is another. A host unpacks them into a
virtual environment of its own: a wheel's contents are what belongs into ``site-packages`` (Binary
distribution format, packaging.python.org).
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import marshal
import os
import platform
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from blfs_mr.cluster.places import PROGRAM, PROGRAMS
from blfs_mr.errors import UsageError

PROJECT = "blfs-mr"
UNITS = "blfs_mr/systemd"
"""Where the units stand in the project's wheel."""

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
THIS_MACHINE = platform.machine()

# Of a distribution's own folder: what tells where it came from here says nothing there.
_LOCAL = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
_PARTS = ("blfs_mr", "daemons", "systemd")

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of all files in a wheel that is made here: the same contents are the same bytes."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Wheels for one ``python`` on one ``machine`` (empty: for any). ``digest`` names the contents.

    ``sources`` are the files of each wheel, by their path in it, or wheels that are ready.
    """

    digest: str
    python: str
    machine: str
    sources: Mapping[str, Mapping[str, Path] | Path]

    def archive(self) -> bytes:
        """A tar file of all wheels. Takes a second or two; reads every file. Raises OSError."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, source in sorted(self.sources.items()):
                data = source.read_bytes() if isinstance(source, Path) else _zipped(source)
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return packed.getvalue()

    def install_command(self) -> list[str]:
        """The argv that installs :meth:`archive` from standard input, and makes it the one in use."""
        return ["python3", "-c", _INSTALL, self.digest, PROGRAMS, PROGRAM]


def installed_bundle() -> Bundle:
    """What is installed here. Raises UsageError where something that is needed is not installed."""
    sources = {_wheel_name(found): dict(_files(found)) for found in _needed(PROJECT)}
    return Bundle(_digest(sources), THIS_PYTHON, THIS_MACHINE, sources)


def folder_bundle(folder: Path) -> Bundle:
    """The wheels in ``folder``. Raises UsageError where the project's own is not among them."""
    wheels = {path.name: path for path in sorted(folder.glob("*.whl"))} if folder.is_dir() else {}
    if not any(name.startswith("blfs_mr-") for name in wheels):
        raise UsageError(f"{folder} has no wheel of {PROJECT}: make them with `pip wheel -w {folder} SOURCE`")
    return Bundle(_digest({name: {name: path} for name, path in wheels.items()}), "", "", wheels)


def _needed(root: str) -> Iterator[metadata.Distribution]:
    """The distribution ``root`` and all that it needs, each once."""
    waiting, seen = [root], set()
    while waiting:
        name = _normalised(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            # What only another system or version of Python needs is not installed here either.
            if name == _normalised(root):
                raise UsageError(f"{root} is not installed in this Python: `pip install` it") from None
            continue
        yield found
        waiting += [
            re.split(r"[\s;<>=!~\[(]", requirement, maxsplit=1)[0]
            for requirement in found.requires or ()
            if "extra ==" not in requirement
        ]


def _files(distribution: metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """The files of a distribution that belong into a wheel: path in it, path here."""
    folder = f"{_escaped(distribution)}.dist-info"
    for file in distribution.files or ():
        path = str(file)
        if ".." in file.parts or "__pycache__" in file.parts or file.suffix == ".pth":
            continue
        if file.parts[0].endswith(".dist-info"):
            if file.name in _LOCAL:
                continue
            path = "/".join((folder, *file.parts[1:]))
        yield path, Path(str(distribution.locate_file(file)))
    if _normalised(distribution.metadata["Name"]) == PROJECT:
        yield from _own_files()


def _own_files() -> Iterator[tuple[str, Path]]:
    # From where this very code is run, which in a development environment is the source tree.
    top = Path(__file__).resolve().parents[2]
    for part in _PARTS:
        for path in sorted((top / part).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                inside = path.relative_to(top).as_posix()
                yield inside if part != "systemd" else f"{UNITS}/{path.relative_to(top / part)}", path


def unit_files() -> Mapping[str, str]:
    """The texts of ``systemd/``, by their path in it, wherever this code was installed from."""
    top = Path(__file__).resolve().parents[2]
    folder = top / UNITS if (top / UNITS).is_dir() else top / "systemd"
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _wheel_name(distribution: metadata.Distribution) -> str:
    text = distribution.read_text("WHEEL") or ""
    tags = re.findall(r"^Tag: (\S+)-(\S+)-(\S+)$", text, re.MULTILINE)
    # A wheel for several tags is named by all of each kind, joined by dots.
    joined = ("-".join(".".join(dict.fromkeys(kind)) for kind in zip(*tags, strict=True))) or "py3-none-any"
    return f"{_escaped(distribution)}-{joined}.whl"


def _escaped(distribution: metadata.Distribution) -> str:
    name = _normalised(distribution.metadata["Name"]).replace("-", "_")
    return f"{name}-{distribution.version}"


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _digest(sources: Mapping[str, Mapping[str, Path]]) -> str:
    digest = hashlib.sha256(json.dumps([THIS_PYTHON, _INSTALL]).encode())
    for name, files in sorted(sources.items()):
        for inside, path in sorted(files.items()):
            with path.open("rb") as file:
                contents = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{name}\0{inside}\0{contents}\n".encode())
    return digest.hexdigest()[:16]


def _zipped(files: Mapping[str, Path]) -> bytes:
    packed, record = io.BytesIO(), []
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for inside, path in sorted(files.items()):
            data = path.read_bytes()
            contents = {inside: data, **(_compiled(inside, data) if inside.endswith(".py") else {})}
            for name, content in contents.items():
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
                archive.writestr(entry, content)
                record.append(f"{name},,\n")
        folder = next(inside.partition("/")[0] for inside in sorted(files) if ".dist-info/" in inside)
        archive.writestr(zipfile.ZipInfo(f"{folder}/RECORD", _EPOCH), "".join(record))
    return packed.getvalue()


def _compiled(inside: str, source: bytes) -> dict[str, bytes]:
    """The compiled form of a module, under its path; nothing of a file that is no module."""
    try:
        code = compile(source, inside, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return {}
    # Not bound to the time of its source, which a host gives it; what stands in a folder there never changes
    # (PEP 552: flag 1, and the hash that nobody looks at).
    header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    return {importlib.util.cache_from_source(inside, optimization=""): header + marshal.dumps(code)}


# Runs with the host's own Python and its standard library alone. What was begun stands under another name
# until it is whole, and the link is changed in one step: a host has the old program or the new one. The one
# before stays, because processes that were started from it may still load from it.
_INSTALL = r"""
import compileall, os, shutil, subprocess, sys, tarfile, zipfile, io, glob
digest, programs, program = sys.argv[1:]
os.umask(0o022)
os.makedirs(programs, exist_ok=True)
ready, partial = f"{programs}/{digest}", f"{programs}/{digest}.partial"
shutil.rmtree(partial, ignore_errors=True)
if not os.path.isdir(ready):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", partial], check=True)
    site = glob.glob(f"{partial}/lib/python*/site-packages")[0]
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for entry in archive:
            zipfile.ZipFile(io.BytesIO(archive.extractfile(entry).read())).extractall(site)
    if not glob.glob(f"{site}/blfs_mr/__pycache__/*"):
        compileall.compile_dir(site, quiet=2, workers=0, stripdir=partial, prependdir=program)
    command = f"{partial}/bin/blfs-mr"
    with open(command, "w") as file:
        file.write(f"#!{program}/bin/python\nfrom blfs_mr.cli import main\n\nmain()\n")
    os.chmod(command, 0o755)
    with open(f"{partial}/bundle", "w") as file:
        file.write(f"{digest}\n")
    os.rename(partial, ready)
before = os.path.realpath(program) if os.path.islink(program) else ""
os.path.lexists(f"{program}.new") and os.unlink(f"{program}.new")
os.symlink(ready, f"{program}.new")
os.replace(f"{program}.new", program)
for other in glob.glob(f"{programs}/*"):
    if other not in (ready, before):
        shutil.rmtree(other, ignore_errors=True)
""".strip()
