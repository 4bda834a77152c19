"""The facts behind the contract hold on the machine that tests it, and breaking a line of it shows."""

from __future__ import annotations

import json

import pytest

from blfs_mr.cli import BLFS_MR
from blfs_mr.console import run

pytestmark = pytest.mark.root


def test_the_contract_is_never_stale_and_each_breach_of_it_shows(
    loops: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(BLFS_MR, "blfs-mr", ["lab", "coherence", "--json", "--rounds", "500"])
    told = capsys.readouterr()
    observations = json.loads(told.out)["observations"]
    assert [seen for seen in observations if not seen["expected"]] == []
    assert ended.value.code == 0, told.err
    assert len(observations) == 11
    assert observations[-1]["outcome"] == "0 stale reads in 500 rounds"
