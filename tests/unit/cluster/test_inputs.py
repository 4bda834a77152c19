"""``blfs-mr input put|list|rm`` with real SSH servers of this process, whose commands run in a shell."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from blfs_mr.cli.input import input_family
from blfs_mr.cluster import sending
from blfs_mr.cluster.inputs import place_pieces
from blfs_mr.cluster.sending import piece_name
from blfs_mr.errors import ClusterError, InputError, UsageError
from blfs_mr.formats.cutting import Piece
from blfs_mr.formats.manifest import Manifest, parse_manifest
from tests.unit.cluster.shell_hosts import ShellHost, inventory, shell_hosts
from tests.unit.cluster.ssh_hosts import made_key

OURS = made_key()
TEXT = b"".join(b"line %d of the input\n" % number for number in range(2000))


class Cluster:
    """Three workers, and commands over their input."""

    def __init__(self, folder: Path, hosts: list[ShellHost]) -> None:
        self.folder, self.hosts = folder, {host.name: host for host in hosts}
        self.text = folder / "text"
        self.text.write_bytes(TEXT)
        self.config = folder / "config.toml"
        self.config.write_text(
            f'home = "{folder}/home"\n[master]\nmanifests = "{folder}/manifests"\n'
            f'[worker]\ninput = "{folder}/input/{{name}}"\n' + inventory(folder, hosts, OURS)
        )

    async def run(self, *arguments: object) -> str:
        """What a command prints; raises what it raises."""
        words = ["--config", str(self.config), *map(str, arguments)]
        ended = await asyncio.to_thread(CliRunner().invoke, input_family, words)
        if ended.exception is not None:
            raise ended.exception
        return ended.stdout

    def manifest(self, name: str) -> Manifest:
        path = self.folder / "manifests" / f"{name}.manifest"
        return parse_manifest(path.read_text(), str(path))

    def there(self) -> dict[str, set[str]]:
        """The folders of pieces on each worker; none where there are none."""
        found = {name: self.folder / "input" / name for name in self.hosts}
        return {name: {path.name for path in base.iterdir()} for name, base in found.items() if base.exists()}

    def is_bare(self) -> bool:
        """Nothing of any input is anywhere."""
        manifests = self.folder / "manifests"
        left = [path for path in manifests.glob("*") if not path.name.endswith(".lock")]
        return not any(self.there().values()) and not left

    def pieces(self, name: str) -> list[bytes]:
        """The pieces in their order, each the same on all its holders and as the manifest says."""
        contents = []
        for piece in self.manifest(name).pieces:
            held = {(self.folder / "input" / holder / piece.path).read_bytes() for holder in piece.holders}
            (content,) = held
            assert (len(content), hashlib.sha256(content).hexdigest()) == (piece.size, piece.digest)
            contents.append(content)
        return contents


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with shell_hosts(["w0", "w1", "w2"], OURS) as hosts:
        yield Cluster(tmp_path, hosts)


async def test_an_input_is_put_in_pieces_with_two_replicas_of_each(cluster: Cluster) -> None:
    said = await cluster.run("put", cluster.text, "words", "--split-size", "5KiB")
    assert said.startswith("words: 9 pieces, ")
    pieces = cluster.pieces("words")
    assert b"".join(pieces) == TEXT
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert cluster.manifest("words").summary.held == {"w0": 6, "w1": 6, "w2": 6}
    assert {piece.path.partition("/")[2] for piece in cluster.manifest("words").pieces} == {
        f"{number:05d}-text" for number in range(9)
    }
    modes = {
        path.stat().st_mode & 0o777
        for path in [cluster.folder / "input", *(cluster.folder / "input").glob("**/*")]
    }
    assert modes == {0o755, 0o644}


async def test_workers_with_the_fewest_pieces_come_first_or_those_that_are_named(cluster: Cluster) -> None:
    await cluster.run("put", cluster.text, "one", "-w", "w1", "--split-size", "10KiB")
    assert cluster.manifest("one").summary.held == {"w1": 5}
    await cluster.run("put", cluster.text, "two", "--replicas", 1, "--split-size", "10KiB")
    assert cluster.manifest("two").summary.held == {"w0": 3, "w2": 2}
    await cluster.run("put", cluster.text, "three", "-w", "w2", "-w", "w0", "--replicas", 2)
    assert cluster.manifest("three").summary.held == {"w0": 1, "w2": 1}
    assert b"".join(cluster.pieces("three")) == TEXT


async def test_a_table_keeps_its_header_and_whole_files_their_ends(cluster: Cluster) -> None:
    table = cluster.folder / "table.csv"
    table.write_bytes(b"x,y\n" + b"1,2\n" * 100)
    await cluster.run("put", table, "table", "--format", "csv-dict", "--split-size", "100B")
    pieces = cluster.pieces("table")
    assert len(pieces) == 5
    assert {piece.partition(b"\n")[0] for piece in pieces} == {b"x,y"}
    assert cluster.manifest("table").boundary == "line ends below a header"
    (cluster.folder / "ü x.gz").write_bytes(b"anything")
    await cluster.run("put", cluster.folder / "ü x.gz", "packed", "--split-size", "1B")
    (piece,) = cluster.manifest("packed").pieces
    assert piece.path.endswith("/00000-__x.gz")
    assert cluster.manifest("packed").boundary == ""


async def test_a_name_that_is_taken_is_replaced_only_by_force(cluster: Cluster) -> None:
    await cluster.run("put", cluster.text, "words")
    before, folders = cluster.manifest("words"), cluster.there()
    with pytest.raises(InputError, match="an input named words already"):
        await cluster.run("put", cluster.config, "words")
    assert (cluster.manifest("words"), cluster.there()) == (before, folders)
    await cluster.run("put", cluster.config, "words", "--force", "-w", "w2")
    assert cluster.pieces("words") == [cluster.config.read_bytes()]
    assert cluster.there() == {"w0": set(), "w1": set(), "w2": {cluster.manifest("words").summary.folder}}


async def test_a_host_that_is_down_is_told_before_anything_is_sent(cluster: Cluster) -> None:
    await cluster.hosts["w2"].go_down()
    with pytest.raises(ClusterError, match=r"nothing was sent \(-w names .*\n.*w2 .* cannot be reached"):
        await cluster.run("put", cluster.text, "words", "--split-size", "5KiB")
    assert cluster.is_bare()
    await cluster.run("put", cluster.text, "words", "-w", "w0", "-w", "w1")
    assert b"".join(cluster.pieces("words")) == TEXT


@pytest.mark.parametrize("refused", ["sha256sum", "chmod", "mkdir"])
async def test_a_put_that_fails_anywhere_leaves_nothing_and_can_be_repeated(
    cluster: Cluster, refused: str
) -> None:
    cluster.hosts["w1"].refused = refused
    with pytest.raises(ClusterError, match=r"w1 .*refused by the test"):
        await cluster.run("put", cluster.text, "words", "--split-size", "5KiB")
    assert cluster.is_bare()
    cluster.hosts["w1"].refused = ""
    await cluster.run("put", cluster.text, "words", "--split-size", "5KiB")
    assert b"".join(cluster.pieces("words")) == TEXT


async def test_what_a_killed_put_has_left_counts_for_nothing_and_goes_with_the_next(cluster: Cluster) -> None:
    left = cluster.folder / "input" / "w0" / "words.0123"
    left.mkdir(parents=True)
    (left / "00000-text").write_bytes(b"half a pie")
    other = cluster.folder / "input" / "w0" / "words2.0123"
    other.mkdir()
    assert await cluster.run("list") == ""
    await cluster.run("put", cluster.text, "words")
    assert not left.exists()
    assert other.exists()


async def test_two_do_not_put_one_input_at_a_time(cluster: Cluster) -> None:
    manifests = cluster.folder / "manifests"
    manifests.mkdir()
    other = await asyncio.create_subprocess_exec(
        "flock", str(manifests / ".words.lock"), "sh", "-c", "echo held; cat",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert other.stdin is not None
    assert other.stdout is not None
    await other.stdout.readline()
    for arguments in (["put", cluster.text, "words"], ["rm", "words"]):
        with pytest.raises(InputError, match="words is being put or removed by somebody else"):
            await cluster.run(*arguments)
    assert await cluster.run("put", cluster.text, "others")
    other.stdin.close()
    await other.wait()
    await cluster.run("put", cluster.text, "words")


async def test_a_lock_that_cannot_be_had_is_not_somebody_elses(cluster: Cluster) -> None:
    (cluster.folder / "manifests").touch()
    with pytest.raises(ClusterError, match=r"the input words cannot be locked: mkdir: .*manifests"):
        await cluster.run("put", cluster.text, "words")


async def test_a_file_that_is_no_manifest_is_named(cluster: Cluster) -> None:
    await cluster.run("put", cluster.text, "words")
    (cluster.folder / "manifests" / "strange.manifest").write_text("strange\n")
    with pytest.raises(InputError, match=r"w0:.*/manifests/strange.manifest is no manifest"):
        await cluster.run("list")


async def test_bytes_that_are_not_as_they_were_sent_are_found(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sending.Sending._transfer

    async def spoiling(self, client, piece, path):  # type: ignore[no-untyped-def]
        digest = await sent(self, client, piece, path)
        if "/w1/" in path and "00003" in path:
            os.truncate(path, piece.size - 1)
        return digest

    monkeypatch.setattr(sending.Sending, "_transfer", spoiling)
    with pytest.raises(ClusterError, match=r"w1 .*00003-text is not there as it was sent"):
        await cluster.run("put", cluster.text, "words", "--split-size", "5KiB")
    assert cluster.is_bare()


async def test_a_disk_without_space_is_told_before_anything_is_sent(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending.Sending, "bytes_for", lambda self, worker: 1 << 60)
    with pytest.raises(ClusterError, match=r"w0 .*: 1024PiB are to go there, and .* are free"):
        await cluster.run("put", cluster.text, "words")
    assert cluster.is_bare()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "words"], "no such input: nowhere"),
        (["TEXT", "a/b"], "'a/b' cannot name an input"),
        (["TEXT", "words", "-w", "w7"], "no worker w7; it has w0, w1, w2"),
        (["TEXT", "words", "--replicas", "4"], "4 replicas need as many workers, and there are 3"),
        (["TEXT", "words", "--split-size", "0"], "a piece has at least a byte"),
        (["TEXT", "words", "--format", "xml"], "no input format 'xml'"),
        (["TEXT", "words", "--format", "binary:7"], "does not consist of whole records of 7 bytes"),
    ],
)
async def test_what_cannot_be_put_is_told_without_a_connection(
    cluster: Cluster, arguments: list[str], said: str
) -> None:
    words = [str(cluster.text) if word == "TEXT" else word for word in arguments]
    with pytest.raises(UsageError, match=said):
        await cluster.run("put", *words)
    assert not any(host.commands for host in cluster.hosts.values())


async def test_inputs_are_listed_and_pieces_that_are_gone_are_named(cluster: Cluster) -> None:
    await cluster.run("put", cluster.text, "words", "--split-size", "20KiB", "-w", "w0", "-w", "w1")
    await cluster.run("put", cluster.config, "other", "-w", "w2")
    assert [line.partition(":")[0] for line in (await cluster.run("list")).splitlines()] == ["other", "words"]
    said = await cluster.run("list", "words")
    assert said.count("w0, w1\n") == 3
    piece = cluster.manifest("words").pieces[1]
    (cluster.folder / "input" / "w1" / piece.path).write_bytes(b"short")
    with pytest.raises(ClusterError, match="1 pieces are missing"):
        await cluster.run("list", "words")
    with pytest.raises(InputError, match="there is no input named nothing"):
        await cluster.run("list", "nothing")
    await cluster.hosts["w1"].go_down()
    with pytest.raises(ClusterError, match=r"not all holders could be asked:\n  w1 "):
        await cluster.run("list", "words")


async def test_removing_does_what_it_can_and_ends_when_the_host_is_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    await cluster.run("put", cluster.text, "words", "--split-size", "5KiB")
    cluster.hosts["w1"].refused = "find"
    with pytest.raises(ClusterError, match=r"run `blfs-mr input rm words` again:\n  w1 "):
        await cluster.run("rm", "words")
    assert [name for name, folders in cluster.there().items() if folders] == ["w1"]
    assert "being removed" in await cluster.run("list")
    with pytest.raises(InputError, match="is being removed: run `blfs-mr input rm words` again"):
        await cluster.run("put", cluster.text, "words")
    cluster.hosts["w1"].refused = ""
    assert await cluster.run("rm", "words") == ""
    assert cluster.is_bare()
    with pytest.raises(InputError, match="there is no input named words"):
        await cluster.run("rm", "words")


async def test_without_the_masters_host_nothing_is_known(cluster: Cluster) -> None:
    await cluster.hosts["w0"].go_down()
    with pytest.raises(ClusterError, match="the master's host, which knows the inputs, cannot be reached"):
        await cluster.run("list")


async def test_an_input_without_a_piece_is_one(cluster: Cluster) -> None:
    cluster.text.write_bytes(b"")
    await cluster.run("put", cluster.text, "empty")
    assert cluster.manifest("empty").pieces == ()
    await cluster.run("list", "empty")
    await cluster.run("rm", "empty")
    assert cluster.is_bare()


@given(
    count=st.integers(0, 60),
    held=st.dictionaries(st.sampled_from(["a", "b", "c", "d", "elsewhere"]), st.integers(0, 30)),
    replicas=st.integers(1, 4),
)
def test_holders_are_others_each_time_and_the_fewest_get_more(
    count: int, held: dict[str, int], replicas: int
) -> None:
    workers = ["a", "b", "c", "d"]
    placed = place_pieces(count, workers, held, replicas)
    assert len(placed) == count
    assert all(len(set(holders)) == replicas for holders in placed)
    more = Counter(worker for holders in placed for worker in holders)
    assert set(more) <= set(workers)
    load = {worker: held.get(worker, 0) + more[worker] for worker in workers}
    # Whoever got any is no further above the least than one, unless replicas left no choice.
    if replicas == 1:
        assert all(load[worker] <= min(load.values()) + 1 for worker in more)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/x/a b'c.gz", "00007-a_b_c.gz"), ("/x/" + "n" * 200 + ".zst", f"00007-{'n' * 96}.zst")],
)
def test_names_of_pieces_need_no_quotes_and_keep_their_end(path: str, name: str) -> None:
    assert piece_name(7, Piece(path, 0, 1)) == name
