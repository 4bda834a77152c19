"""The handshake as two state machines: who is let in, who is not, and what each is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blfs_mr.errors import HandshakeRefused
from blfs_mr.model import IncarnationId
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import HANDSHAKE_MAX_FRAME
from blfs_mr.wire.handshake import MAX_NAME, PROTOCOL_VERSION, ClientHandshake, PeerClaims, ServerHandshake
from blfs_mr.wire.messages.handshake import (
    Challenge,
    ClientProof,
    HandshakeFailed,
    HandshakeMessage,
    Hello,
    ServerProof,
)
from blfs_mr.wire.roles import Role

SECRET = bytes(range(32))


def client(
    *,
    secret: bytes = SECRET,
    cluster: str = "lab",
    name: str = "node-1",
    nonce: bytes = b"c" * 32,
    lowest_epoch: int = 0,
) -> ClientHandshake:
    return ClientHandshake(
        cluster=cluster,
        secret=secret,
        role=Role.WORKER,
        name=name,
        incarnation=IncarnationId("00000000000000aa"),
        nonce=nonce,
        lowest_epoch=lowest_epoch,
    )


def server(*, secret: bytes = SECRET, epoch: int = 7, nonce: bytes = b"s" * 32) -> ServerHandshake:
    return ServerHandshake(cluster="lab", secrets=[secret], epoch=epoch, nonce=nonce)


def challenge_of(handshake: ServerHandshake, hello: Hello) -> Challenge:
    answer = handshake.handle(hello)
    assert isinstance(answer, Challenge)
    return answer


def proof_of(handshake: ClientHandshake, challenge: Challenge) -> ClientProof:
    answer = handshake.handle(challenge)
    assert answer is not None
    return answer


def test_two_sides_with_one_secret_prove_themselves_and_agree_on_who_they_are() -> None:
    worker, master = client(), server()
    proof = proof_of(worker, challenge_of(master, worker.hello()))
    assert master.peer is None
    assert not worker.done
    answer = master.handle(proof)
    assert isinstance(answer, ServerProof)
    assert master.peer == PeerClaims(Role.WORKER, "node-1", IncarnationId("00000000000000aa"))
    assert worker.handle(answer) is None
    assert worker.done
    assert worker.epoch == 7


def test_a_worker_with_another_secret_is_refused_without_a_proof_to_learn_from() -> None:
    worker, master = client(secret=b"another"), server()
    proof = proof_of(worker, challenge_of(master, worker.hello()))
    with pytest.raises(HandshakeRefused, match=r"^the cluster secrets differ$"):
        master.handle(proof)
    assert master.peer is None


def test_a_master_with_another_secret_is_refused_by_the_worker() -> None:
    worker, master = client(), server()
    proof_of(worker, challenge_of(master, worker.hello()))
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        worker.handle(ServerProof(bytes(32)))
    assert not worker.done


def test_a_wrong_proof_is_refused_alike_whether_it_is_nearly_right_or_of_another_length() -> None:
    reasons = set()
    for alter in (lambda p: p[:-1] + bytes([p[-1] ^ 1]), lambda p: p[:-1], lambda p: b"", lambda p: p + b"x"):
        worker, master = client(), server()
        proof = proof_of(worker, challenge_of(master, worker.hello()))
        with pytest.raises(HandshakeRefused) as caught:
            master.handle(ClientProof(alter(proof.proof)))
        reasons.add(str(caught.value))
    assert len(reasons) == 1


@pytest.mark.parametrize(
    "change", [{"role": "client"}, {"name": "node-2"}, {"incarnation": "00000000000000ab"}]
)
def test_claims_altered_on_the_way_make_the_proof_worthless(change: dict[str, Any]) -> None:
    worker, master = client(), server()
    challenge = challenge_of(master, replace(worker.hello(), **change))
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        master.handle(proof_of(worker, challenge))


def test_an_epoch_altered_on_the_way_makes_the_proof_worthless() -> None:
    worker, master = client(), server()
    challenge = challenge_of(master, worker.hello())
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        master.handle(proof_of(worker, replace(challenge, epoch=8)))


def test_names_that_only_differ_in_where_one_ends_give_different_proofs() -> None:
    one, other = client(cluster="lab", name="ab"), client(cluster="lab", name="a")
    hello = replace(other.hello(), incarnation=IncarnationId("b" + other.hello().incarnation))
    master = server()
    challenge = challenge_of(master, hello)
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        master.handle(proof_of(one, challenge))


def test_a_recorded_proof_is_worthless_in_another_handshake() -> None:
    worker, master = client(), server()
    recorded = proof_of(worker, challenge_of(master, worker.hello()))
    master.handle(recorded)
    later = server(nonce=b"t" * 32)
    challenge_of(later, worker.hello())
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        later.handle(recorded)


def test_a_recorded_answer_of_the_master_is_worthless_in_another_handshake() -> None:
    worker, master = client(), server()
    recorded = master.handle(proof_of(worker, challenge_of(master, worker.hello())))
    later = client(nonce=b"d" * 32)
    proof_of(later, challenge_of(server(), later.hello()))
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        later.handle(recorded)


def test_a_proof_reflected_to_its_maker_is_worthless() -> None:
    worker, master = client(), server()
    proof = proof_of(worker, challenge_of(master, worker.hello()))
    with pytest.raises(HandshakeRefused, match="secrets differ"):
        worker.handle(ServerProof(proof.proof))


def test_a_nonce_reflected_through_a_second_connection_does_not_help() -> None:
    # A stranger lets the master itself compute over the nonce that it was challenged with.
    master = server()
    second = server(nonce=b"u" * 32)
    hello = Hello(PROTOCOL_VERSION, "lab", "worker", "node-1", IncarnationId("aa"), b"n" * 32)
    challenge = challenge_of(master, hello)
    challenge_of(second, replace(hello, nonce=challenge.nonce))
    with pytest.raises(HandshakeRefused):
        second.handle(ClientProof(bytes(32)))
    assert second.peer is None


def test_another_version_is_refused_by_name_on_both_sides() -> None:
    newer = replace(client().hello(), version=PROTOCOL_VERSION + 1)
    both = f"{PROTOCOL_VERSION} here, {PROTOCOL_VERSION + 1} there"
    with pytest.raises(HandshakeRefused, match=both):
        server().handle(newer)
    challenge = challenge_of(server(), client().hello())
    with pytest.raises(HandshakeRefused, match=both):
        client().handle(replace(challenge, version=PROTOCOL_VERSION + 1))


def test_another_cluster_is_refused_by_name() -> None:
    with pytest.raises(HandshakeRefused, match="'lab' here, 'other' there"):
        server().handle(client(cluster="other").hello())


def test_a_lower_epoch_is_refused_and_the_same_or_a_higher_is_not() -> None:
    challenge = challenge_of(server(epoch=7), client().hello())
    with pytest.raises(HandshakeRefused, match=r"epoch is 7, but 8 was seen.*replaced by a newer"):
        client(lowest_epoch=8).handle(challenge)
    assert isinstance(client(lowest_epoch=7).handle(challenge), ClientProof)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"role": "admin"}, "unknown role; allowed are worker, client"),
        ({"name": "x" * (MAX_NAME + 1)}, "name must be printable"),
        ({"name": "a\nb"}, "name must be printable"),
        ({"incarnation": "\x1b[2J"}, "incarnation must be printable"),
        ({"nonce": b"short"}, "nonce of 5 bytes"),
    ],
)
def test_claims_that_cannot_stand_in_a_log_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(HandshakeRefused, match=told):
        server().handle(replace(client().hello(), **change))


def test_messages_out_of_turn_are_refused() -> None:
    with pytest.raises(HandshakeRefused, match="ClientProof came out of turn"):
        server().handle(ClientProof(bytes(32)))
    master = server()
    challenge = challenge_of(master, client().hello())
    with pytest.raises(HandshakeRefused, match="Hello came out of turn"):
        master.handle(client().hello())
    with pytest.raises(HandshakeRefused, match="ServerProof came out of turn"):
        client().handle(ServerProof(bytes(32)))
    worker = client()
    worker.handle(challenge)
    with pytest.raises(HandshakeRefused, match="Challenge came out of turn"):
        worker.handle(challenge)


def test_a_refusal_by_the_master_is_passed_on_without_control_characters() -> None:
    with pytest.raises(HandshakeRefused) as caught:
        client().handle(HandshakeFailed("no \x1b[31m entry"))
    assert "\\x1b[31m" in str(caught.value)


def test_the_epoch_is_not_known_before_the_master_names_it() -> None:
    with pytest.raises(HandshakeRefused, match="has not named"):
        _ = client().epoch


def test_the_largest_handshake_messages_fit_into_a_stranger_s_frame() -> None:
    longest = "\U0001f600" * MAX_NAME
    messages: list[HandshakeMessage] = [
        replace(client().hello(), cluster=longest, name=longest, incarnation=IncarnationId(longest)),
        Challenge(PROTOCOL_VERSION, longest, 2**63, bytes(32)),
    ]
    for message in messages:
        assert len(codec_for(HandshakeMessage).encode(Envelope(message))) <= HANDSHAKE_MAX_FRAME
