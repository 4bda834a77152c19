"""The table that leads from each line of the contract to its code and its tests names what exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from blfs_mr.volume.contract import ContractLine

ROOT = Path(__file__).parents[3]
SECTION = (
    (ROOT / "docs" / "architecture.md")
    .read_text(encoding="utf-8")
    .partition("## The consistency contract, line by line\n")[2]
    .partition("\n## ")[0]
)
ROWS = [line for line in SECTION.splitlines() if re.match(r"\| \d ", line)]


def test_every_line_of_the_contract_has_a_row() -> None:
    titles = [row.split("|")[1].strip() for row in ROWS]
    assert titles == [f"{line.number} {line.title}" for line in ContractLine]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_code_and_the_tests_of_a_row_are_there(row: str) -> None:
    _, _, code, tests, _ = row.split("|")
    for cell, folders in ((code, ("blfs_mr/", "daemons/")), (tests, ("tests/",))):
        named = re.findall(r"`(\w+/[\w/]+\.py)(?:::(\w+))?`", cell)
        assert named
        for path, name in named:
            assert path.startswith(folders)
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            assert not name or name in {node.name for node in tree.body if isinstance(node, kinds)}, path
