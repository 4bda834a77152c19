"""What hosts get to run is what is installed here, and it runs there without pip or a network."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from blfs_mr import __version__
from blfs_mr.cluster.wheels import UNITS, Bundle, folder_bundle, installed_bundle, unit_files
from blfs_mr.errors import UsageError


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return installed_bundle()


@pytest.fixture(scope="module")
def archive(bundle: Bundle) -> bytes:
    return bundle.archive()


def install(bundle: Bundle, archive: bytes, folder: Path) -> None:
    command = bundle.install_command()
    command[0] = sys.executable
    command[-2:] = [str(folder / "programs"), str(folder / "program")]
    subprocess.run(command, input=archive, check=True)


def test_the_wheels_hold_the_project_its_dependencies_and_its_units(bundle: Bundle, archive: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        names = packed.getnames()
        (project,) = [name for name in names if name.startswith("blfs_mr-")]
        member = packed.extractfile(project)
        assert member is not None
        files = zipfile.ZipFile(io.BytesIO(member.read())).namelist()
    assert {name.partition("-")[0] for name in names} >= {"asyncssh", "pydantic_core", "msgpack", "click"}
    assert not any(name.startswith(("pytest-", "hypothesis-")) for name in names)
    assert {"blfs_mr/__init__.py", "daemons/worker.py", f"{UNITS}/blfs-mr-master.service"} <= set(files)
    assert not any(name.startswith("tests") for name in files)


def test_a_host_runs_what_was_installed(bundle: Bundle, archive: bytes, tmp_path: Path) -> None:
    install(bundle, archive, tmp_path)
    assert (tmp_path / "program" / "bundle").read_text().strip() == bundle.digest
    ran = subprocess.run(
        [tmp_path / "program" / "bin" / "python", tmp_path / "program" / "bin" / "blfs-mr", "version"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
    )
    assert ran.stdout == f"blfs-mr {__version__}\n"


def test_modules_come_compiled_and_hosts_load_them_as_they_are(
    archive: bytes, bundle: Bundle, tmp_path: Path
) -> None:
    install(bundle, archive, tmp_path)
    (site,) = (tmp_path / "program" / "lib").glob("python*/site-packages")
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*.pyc")}
    assert site / f"blfs_mr/__pycache__/errors.{sys.implementation.cache_tag}.pyc" in before
    ran = subprocess.run(
        [tmp_path / "program" / "bin" / "python", "-v", "-m", "blfs_mr.cli", "host", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
    )
    # What `python -v` tells of a module that it had to compile.
    assert not [line for line in ran.stderr.splitlines() if line.startswith("# wrote") and str(site) in line]
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*.pyc")} == before


def test_a_new_program_takes_the_place_of_the_old_in_one_step(tmp_path: Path) -> None:
    wheel = tmp_path / "wheels" / "blfs_mr-1-py3-none-any.whl"
    wheel.parent.mkdir()
    digests = []
    for text in ("one", "two", "three"):
        with zipfile.ZipFile(wheel, "w") as packed:
            packed.writestr("blfs_mr/__init__.py", f"name = {text!r}\n")
        made = folder_bundle(wheel.parent)
        digests.append(made.digest)
        install(made, made.archive(), tmp_path)
        assert os.readlink(tmp_path / "program").endswith(made.digest)
    # The one before stays for what still runs from it.
    assert sorted(path.name for path in (tmp_path / "programs").iterdir()) == sorted(digests[1:])


def test_an_installation_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    wheel = tmp_path / "wheels" / "blfs_mr-1-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("blfs_mr/__init__.py", "")
    made = folder_bundle(wheel.parent)
    with pytest.raises(subprocess.CalledProcessError):
        install(made, made.archive()[:700], tmp_path)
    assert not (tmp_path / "program").exists()
    install(made, made.archive(), tmp_path)
    assert (tmp_path / "program" / "bundle").exists()


def test_the_digest_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "blfs_mr-1-py3-none-any.whl").write_bytes(b"1")
    before = folder_bundle(tmp_path).digest
    assert folder_bundle(tmp_path).digest == before
    (tmp_path / "other-1-py3-none-any.whl").write_bytes(b"")
    assert folder_bundle(tmp_path).digest != before


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_without_our_wheel_is_refused(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "wheels"
    if make:
        folder.mkdir()
    with pytest.raises(UsageError, match="has no wheel of blfs-mr"):
        folder_bundle(folder)


def test_the_units_are_at_hand() -> None:
    assert "blfs-mr.target" in unit_files()
