"""Who is told what in an examination, who is given up, and how what was found is judged."""

from __future__ import annotations

import json

import pytest

from blfs_mr.errors import MalformedMessage, ProtocolError
from blfs_mr.volume.contract import ContractLine
from blfs_mr.volume.doctor.examination import OWNER, Examination
from blfs_mr.volume.doctor.messages import (
    Breach,
    Finish,
    Introduction,
    OwnerDeeds,
    Path,
    PeerDeeds,
    Published,
    Seen,
    SideReport,
    Timing,
    parse,
)
from blfs_mr.volume.doctor.verdicts import Judgement, Verdict, judge

INTRODUCTION = Introduction(volume="ab" * 16, owner="alpha", session="cd" * 8)
TIMING = Timing(median=0.001, slowest_percent=0.002)
PATH = Path(
    device="/dev/sdx", size=1 << 30, logical_block_size=512, read_only=False, write_cache="write back",
    through_page_cache=False,
)  # fmt: skip
OWN = SideReport(path=PATH, breaches=(), deeds=OwnerDeeds(publishing=TIMING, flushes=2000))


def peer(**changes: object) -> SideReport:
    deeds = PeerDeeds(
        rounds=1000, wrong={}, latency=TIMING, bandwidth=1e8, writing="refused", writing_told="Read-only"
    )
    return SideReport(path=PATH, breaches=(), deeds=deeds.model_copy(update=changes))


def published(round: int) -> Published:
    return Published(round=round, digest="ef" * 16)


class TestAnExamination:
    def test_lets_the_owner_go_on_when_all_peers_have_read(self) -> None:
        one = Examination(["p", "q"])
        assert one.heard(OWNER, INTRODUCTION) == [("p", INTRODUCTION), ("q", INTRODUCTION)]
        assert one.heard("p", Seen(round=0)) == []
        assert one.heard("q", Seen(round=0)) == [(OWNER, Seen(round=0))]
        assert one.heard(OWNER, published(1)) == [("p", published(1)), ("q", published(1))]
        assert one.heard("q", Seen(round=1)) == []
        assert one.heard("p", Seen(round=1)) == [(OWNER, Seen(round=1))]

    def test_ends_when_the_last_round_is_read_and_everyone_has_reported(self) -> None:
        one = Examination(["p"])
        one.heard(OWNER, INTRODUCTION)
        one.heard("p", Seen(round=0))
        one.heard(OWNER, published(1))
        assert one.heard(OWNER, OWN) == []
        assert one.heard("p", Seen(round=1)) == [("p", Finish())]
        assert not one.done
        one.heard("p", peer())
        assert one.done

    def test_lets_peers_look_at_their_devices_when_the_owner_cannot_take_part(self) -> None:
        one = Examination(["p"])
        assert one.heard(OWNER, SideReport(path=None, breaches=(), deeds=None, why="x")) == [("p", Finish())]

    def test_goes_on_without_a_peer_that_cannot_take_part(self) -> None:
        one = Examination(["p", "q"])
        one.heard(OWNER, INTRODUCTION)
        one.heard("p", Seen(round=0))
        assert one.heard("q", SideReport(path=None, breaches=(), deeds=None, why="x")) == [
            (OWNER, Seen(round=0))
        ]

    def test_lets_the_owner_finish_when_no_peer_is_left(self) -> None:
        one = Examination(["p"])
        one.heard(OWNER, INTRODUCTION)
        ((side, message),) = one.ended("p", "killed")
        assert side == OWNER
        assert isinstance(message, Seen)
        assert message.round > 1_000_000
        assert one.reports["p"].why == "killed"

    def test_gives_up_the_peer_whose_read_hangs(self) -> None:
        one = Examination(["p", "q"])
        one.heard(OWNER, INTRODUCTION)
        one.heard("p", Seen(round=0))
        one.heard("q", Seen(round=0))
        one.heard(OWNER, published(1))
        one.heard("p", Seen(round=1))
        assert one.given_up("silent") == [(OWNER, Seen(round=1))]
        assert list(one.reports) == ["q"]

    def test_does_not_mind_what_a_given_up_peer_says_after_all(self) -> None:
        one = Examination(["p"])
        one.heard(OWNER, INTRODUCTION)
        one.given_up("silent")
        assert one.heard("p", Seen(round=0)) == []
        assert one.heard("p", peer()) == []
        assert one.reports["p"].why == "silent"

    def test_gives_up_an_owner_that_hangs_and_lets_the_peers_finish(self) -> None:
        one = Examination(["p"])
        one.heard(OWNER, INTRODUCTION)
        one.heard("p", Seen(round=0))
        assert one.given_up("silent") == [("p", Finish())]
        assert one.given_up("silent") == []
        assert one.done

    def test_gives_up_an_owner_that_never_introduces_itself(self) -> None:
        assert Examination(["p"]).given_up("silent") == [("p", Finish())]

    def test_ends_though_a_peer_never_answers_the_introduction(self) -> None:
        one = Examination(["p"])
        one.heard(OWNER, INTRODUCTION)
        ((side, _),) = one.given_up("silent")
        assert (side, list(one.reports)) == (OWNER, ["p"])

    @pytest.mark.parametrize(
        ("side", "message"),
        [("p", INTRODUCTION), (OWNER, Seen(round=0)), (OWNER, published(2)), ("r", Seen(round=0))],
    )
    def test_refuses_what_a_side_may_not_say(
        self, side: str, message: Introduction | Seen | Published
    ) -> None:
        with pytest.raises(ProtocolError, match="may not now"):
            Examination(["p"]).heard(side, message)


@pytest.mark.parametrize(
    "line", ["", "{}", '{"kind":"seen"}', '{"kind":"seen","round":-1}', '{"kind":"other"}', "\xff", "[]"]
)
def test_a_line_that_is_no_message_is_refused(line: str) -> None:
    with pytest.raises(MalformedMessage, match="same version"):
        parse(line)


def test_messages_are_read_as_they_were_sent() -> None:
    for message in (INTRODUCTION, published(3), Seen(round=2, wrong="zeros"), Finish(), OWN, peer()):
        assert parse(message.model_dump_json()) == message


def verdict(line: ContractLine, own: SideReport = OWN, **peers: SideReport) -> Verdict:
    verdicts = judge({OWNER: own, **peers})
    assert [found.line for found in verdicts] == list(ContractLine)
    return verdicts[line.number - 1]


def is_broken(found: Verdict, part: str) -> None:
    assert found.judgement is Judgement.BROKEN
    assert part in " ".join(found.reasons)
    assert found.remedies


class TestVerdicts:
    def test_are_good_where_all_was_well(self) -> None:
        judged = {found.line.number: found.judgement for found in judge({OWNER: OWN, "p": peer()})}
        assert {number for number, found in judged.items() if found is Judgement.OK} == {1, 2, 3, 4, 5}
        assert {judged[number] for number in (6, 7, 8)} == {Judgement.UNKNOWN}

    def test_say_what_a_finding_breaks(self) -> None:
        for line in ContractLine:
            if line.number > 5:
                continue
            breach = Breach(line=line.number, problem="this is wrong", remedy="mend it")
            is_broken(verdict(line, p=peer().model_copy(update={"breaches": (breach,)})), "p: this is wrong")

    def test_blame_a_path_that_gives_old_bytes(self) -> None:
        found = verdict(ContractLine.DIRECT_READS, p=peer(wrong={"the bytes of 16 rounds before": 984}))
        is_broken(found, "p read the bytes of 16 rounds before in 984 of 1000 rounds")
        assert "fileio" in found.remedies[0]

    def test_do_not_call_flushing_good_where_reads_were_stale(self) -> None:
        stale = peer(wrong={"the bytes of 16 rounds before": 984})
        assert verdict(ContractLine.FLUSH_THEN_PUBLISH, p=stale).judgement is Judgement.UNKNOWN

    def test_blame_a_device_that_gives_bytes_nobody_wrote(self) -> None:
        found = verdict(ContractLine.SELF_DESCRIBING, p=peer(wrong={"zeros": 1}))
        is_broken(found, "p read zeros in 1 of 1000 rounds")
        assert verdict(ContractLine.DIRECT_READS, p=peer(wrong={"zeros": 1})).judgement is not Judgement.OK

    def test_blame_a_peer_that_can_write(self) -> None:
        is_broken(verdict(ContractLine.ONE_WRITER, p=peer(writing="written")), "p could write")

    def test_leave_open_what_was_not_tried(self) -> None:
        found = verdict(ContractLine.ONE_WRITER, p=peer(writing="untried", writing_told="busy"))
        assert (found.judgement, found.reasons) == (Judgement.UNKNOWN, ("p: busy",))

    def test_leave_open_what_a_missing_side_would_have_told(self) -> None:
        gone = SideReport(path=None, breaches=(), deeds=None, why="it hangs")
        for line in list(ContractLine)[:5]:
            found = verdict(line, p=gone, q=peer())
            assert found.judgement is Judgement.UNKNOWN
            assert "p took no part: it hangs" in found.reasons

    def test_tell_how_flushing_was_seen(self) -> None:
        line = ContractLine.FLUSH_THEN_PUBLISH
        none = OWN.model_copy(update={"deeds": OwnerDeeds(publishing=TIMING, flushes=0)})
        assert "2000 flushes" in verdict(line, p=peer()).reasons[0]
        assert verdict(line, none, p=peer()).judgement is Judgement.UNKNOWN
        through = none.model_copy(update={"path": PATH.model_copy(update={"write_cache": "write through"})})
        assert verdict(line, through, p=peer()).judgement is Judgement.OK

    def test_can_be_printed_as_json(self) -> None:
        assert json.dumps([found.judgement for found in judge({OWNER: OWN, "p": peer()})])
