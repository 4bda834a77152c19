"""``blfs-mr output`` with real SSH servers of this process: what is brought, what is removed, who is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from blfs_mr.cli.output import output_family
from blfs_mr.errors import ClusterError, UsageError
from blfs_mr.formats.meta import MetaEntry, read_meta, write_meta
from blfs_mr.model import WorkerName
from tests.unit.cluster.shell_hosts import ShellHost, inventory, shell_hosts
from tests.unit.cluster.ssh_hosts import made_key

OURS = made_key()


@pytest.fixture
async def hosts() -> AsyncIterator[list[ShellHost]]:
    async with shell_hosts(["w0", "w1"], OURS) as hosts:
        yield hosts


class Output:
    """An output of one part on each of two workers, and a configuration that knows them."""

    def __init__(self, folder: Path, hosts: Sequence[ShellHost]) -> None:
        self.folder, self.meta, self.config = folder, folder / "words.meta", folder / "config.toml"
        self.parts = [folder / f"w{number}" / f"part-{number}" for number in range(2)]
        self.config.write_text(f'home = "{folder}/home"\n' + inventory(folder, hosts, OURS))
        for number, part in enumerate(self.parts):
            part.parent.mkdir()
            part.write_text(f"b{number}\t1\na{number}\t1\n")
        write_meta(
            str(self.meta), [MetaEntry(str(part), WorkerName(part.parent.name)) for part in self.parts]
        )

    async def run(self, *arguments: object) -> tuple[str, BaseException | None]:
        words = ["--config", str(self.config), *map(str, arguments)]
        ended = await asyncio.to_thread(CliRunner().invoke, output_family, words)
        return ended.stdout, ended.exception


@pytest.fixture
def output(tmp_path: Path, hosts: Sequence[ShellHost]) -> Output:
    return Output(tmp_path, hosts)


@pytest.fixture
def half(tmp_path: Path, hosts: Sequence[ShellHost]) -> Output:
    """As ``output``, but the second host shows another key than it should, so that it is out of reach."""
    return Output(tmp_path, [hosts[0], replace(hosts[1], fingerprint=hosts[0].fingerprint)])


async def test_parts_are_printed_in_their_order_or_sorted(output: Output) -> None:
    assert await output.run("cat", output.meta) == ("b0\t1\na0\t1\nb1\t1\na1\t1\n", None)
    assert await output.run("cat", "-s", output.meta) == ("a0\t1\na1\t1\nb0\t1\nb1\t1\n", None)


async def test_sorting_cuts_lines_where_the_output_does(output: Output) -> None:
    output.parts[0].write_bytes(b"b\rx\t1\nc\x0cy\t1\n")
    output.parts[1].write_bytes(b"a\t1\n")
    assert await output.run("cat", "-s", output.meta) == ("a\t1\nb\rx\t1\nc\x0cy\t1\n", None)
    output.parts[1].write_bytes(b"")
    assert await output.run("cat", "-s", output.meta) == ("b\rx\t1\nc\x0cy\t1\n", None)


async def test_parts_are_brought_into_a_new_folder(output: Output) -> None:
    _, error = await output.run("get", output.meta, output.folder / "here")
    assert error is None
    found = {path.name: path.read_text() for path in (output.folder / "here").iterdir()}
    assert found == {part.name: part.read_text() for part in output.parts}


async def test_what_the_others_hold_is_printed_while_a_worker_is_down(half: Output) -> None:
    printed, error = await half.run("cat", half.meta)
    assert printed == "b0\t1\na0\t1\n"
    assert isinstance(error, ClusterError)
    assert "w1" in str(error)


async def test_a_part_that_cannot_be_read_is_named_and_the_rest_is_printed(output: Output) -> None:
    output.parts[1].unlink()
    printed, error = await output.run("cat", output.meta)
    assert printed == "b0\t1\na0\t1\n"
    assert isinstance(error, ClusterError)
    assert f"{output.parts[1]} cannot be read: cat: " in str(error)
    assert "No such file" in str(error)


async def test_removing_goes_on_where_it_was_cut_short(output: Output) -> None:
    output.parts[0].unlink()
    assert await output.run("rm", output.meta) == ("", None)
    assert not any(part.exists() for part in output.parts)
    assert not output.meta.exists()


async def test_what_could_not_be_removed_stays_listed(half: Output) -> None:
    _, error = await half.run("rm", half.meta)
    assert isinstance(error, ClusterError)
    assert [entry.worker for entry in read_meta(str(half.meta))] == ["w1"]
    assert [part.exists() for part in half.parts] == [False, True]


async def test_a_worker_that_the_inventory_does_not_know_is_told(output: Output) -> None:
    write_meta(str(output.meta), [MetaEntry("/part-0", WorkerName("elsewhere"))])
    _, error = await output.run("cat", output.meta)
    assert isinstance(error, UsageError)
    assert "elsewhere" in str(error)
