"""Side files as the command line names them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from blfs_mr.errors import InputError, UsageError
from blfs_mr.submission import side_files as side_files_module
from blfs_mr.submission.side_files import read_side_files


def test_a_file_goes_by_its_own_name_or_the_one_after_the_colon(tmp_path: Path) -> None:
    path, odd = tmp_path / "words.txt", tmp_path / "a:b"
    path.write_bytes(b"words")
    odd.write_bytes(b"odd")
    found = read_side_files([str(path), f"{path}:stop", str(odd), f"{odd}:c"], [])
    assert [(file.name, file.content, file.importable) for file in found] == [
        ("words.txt", b"words", False),
        ("stop", b"words", False),
        ("a:b", b"odd", False),
        ("c", b"odd", False),
    ]


def test_a_package_travels_as_the_same_zip_each_time_without_what_was_compiled(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for name in ("__init__.py", "inner/data.txt", "__pycache__/x.cpython-311.pyc", ".git/config"):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (file,) = read_side_files([], [package])
    assert (file.name, file.importable) == ("package.zip", True)
    archive = zipfile.ZipFile(io.BytesIO(file.content))
    assert archive.namelist() == ["package/__init__.py", "package/inner/data.txt"]
    assert archive.read("package/inner/data.txt") == b"inner/data.txt"
    (package / "__init__.py").touch()
    assert read_side_files([], [package]) == (file,)


def test_what_is_no_module_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").touch()
    with pytest.raises(UsageError, match=r"no \.py file"):
        read_side_files([], [tmp_path / "empty"])
    with pytest.raises(UsageError, match=r"a module is a \.py file"):
        read_side_files([], [tmp_path / "text.txt"])
    with pytest.raises(InputError, match=r"cannot read the side file .*absent"):
        read_side_files([str(tmp_path / "absent")], [])
    with pytest.raises(InputError, match=r"cannot read the side file .*empty"):
        read_side_files([str(tmp_path / "empty")], [])


def test_names_must_differ_among_files_and_among_modules(tmp_path: Path) -> None:
    path = tmp_path / "same.py"
    path.touch()
    assert len(read_side_files([str(path)], [path])) == 2
    with pytest.raises(UsageError, match=r"two side files would be called 'same\.py'"):
        read_side_files([str(path), str(path)], [])


def test_all_together_may_not_be_larger_than_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_files_module, "MAX_TOTAL", 1000)
    path = tmp_path / "file"
    path.write_bytes(bytes(600))
    assert len(read_side_files([str(path)], [])) == 1
    with pytest.raises(UsageError, match=r"all side files together: 1\.2KiB, of which 1000B"):
        read_side_files([str(path), f"{path}:other"], [])
    path.write_bytes(bytes(1001))
    with pytest.raises(UsageError, match="file: 1001B, of which 1000B"):
        read_side_files([str(path)], [])
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_bytes(bytes(900))
    (package / "more.py").write_bytes(bytes(900))
    with pytest.raises(UsageError, match="package: "):
        read_side_files([], [package])
