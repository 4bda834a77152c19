"""``docs/wire_protocol.md`` says what the code does: its tables, its caps and its worked example."""

from __future__ import annotations

import re
import textwrap
import types
from pathlib import Path

import pytest

from blfs_mr.model import AttemptId, IncarnationId, JobId, TaskId, TaskKind
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import HANDSHAKE_MAX_FRAME, MAX_FRAME, encode_frame
from blfs_mr.wire.handshake import PROTOCOL_VERSION, ClientHandshake, ServerHandshake
from blfs_mr.wire.messages import base, child, client, handshake, launcher, opener, worker
from blfs_mr.wire.messages.base import Message, Refused
from blfs_mr.wire.messages.child import LeaseSharedFile
from blfs_mr.wire.messages.handshake import HandshakeFailed, HandshakeMessage
from blfs_mr.wire.messages.worker import AbortTask
from blfs_mr.wire.roles import Role

messages = types.SimpleNamespace(
    **{
        name: value
        for module in (base, handshake, worker, client, child, launcher, opener)
        for name, value in vars(module).items()
    }
)
"""All messages and unions by name, whatever link they belong to."""

DOCUMENT = (Path(__file__).parents[3] / "docs" / "wire_protocol.md").read_text()

DIRECTIONS = (
    "HandshakeMessage",
    "WorkerToMaster",
    "MasterToWorker",
    "ClientToMaster",
    "MasterToClient",
    "ChildToWorker",
    "WorkerToChild",
    "LauncherToWorker",
    "WorkerToLauncher",
    "SpawnerToWorker",
    "WorkerToSpawner",
    "ChildToOpener",
    "OpenerToChild",
)

ATTEMPT = AttemptId(TaskId(JobId("00112233445566ff"), TaskKind.MAP, 3), 1)


def hex_block(title: str, frame: bytes) -> str:
    return "\n".join([title, *(f"    {line}" for line in textwrap.wrap(frame.hex(" "), 71))])


def framed(message: Message, vocabulary: types.UnionType, **numbers: int) -> bytes:
    return encode_frame(codec_for(vocabulary).encode(Envelope(message, **numbers)))


def frame_examples() -> str:
    """A notification, a request and its reply, as bytes."""
    return "\n".join(
        (
            hex_block("AbortTask", framed(AbortTask(ATTEMPT), messages.MasterToWorker)),
            hex_block(
                "LeaseSharedFile, id 7", framed(LeaseSharedFile(ATTEMPT), messages.ChildToWorker, id=7)
            ),
            hex_block("Refused, reply_to 7", framed(Refused("aborted"), messages.WorkerToChild, reply_to=7)),
        )
    )


def handshake_transcript() -> str:
    """A whole handshake with fixed nonces, as bytes."""
    secret = bytes(range(32))
    worker = ClientHandshake(
        cluster="lab",
        secret=secret,
        role=Role.WORKER,
        name="node-1",
        incarnation=IncarnationId("00000000000000aa"),
        nonce=bytes(range(0x20, 0x40)),
    )
    master = ServerHandshake(cluster="lab", secrets=[secret], epoch=7, nonce=bytes(range(0x40, 0x60)))
    hello = worker.hello()
    challenge = master.handle(hello)
    proof = worker.handle(challenge)
    assert proof is not None
    answer = master.handle(proof)
    assert worker.handle(answer) is None
    said: list[tuple[str, HandshakeMessage]] = [
        ("worker -> master: Hello", hello),
        ("master -> worker: Challenge", challenge),
        ("worker -> master: ClientProof", proof),
        ("master -> worker: ServerProof", answer),
    ]
    return "\n".join(hex_block(title, framed(message, HandshakeMessage)) for title, message in said)


def message_table() -> str:
    """Every message, with the directions that allow it."""
    allowed: dict[str, list[str]] = {}
    for direction in DIRECTIONS:
        for name in codec_for(getattr(messages, direction)).names:
            allowed.setdefault(name, []).append(direction)
    rows = [f"| `{name}` | {', '.join(directions)} |" for name, directions in allowed.items()]
    return "\n".join(["| message | allowed in |", "|---|---|", *rows])


@pytest.mark.parametrize("part", [frame_examples, handshake_transcript, message_table])
def test_the_document_shows_what_the_code_does(part: types.FunctionType) -> None:
    current = part()
    assert current in DOCUMENT, f"put this into docs/wire_protocol.md:\n\n{current}"


def test_the_table_covers_every_union_of_messages() -> None:
    unions = {name for name in dir(messages) if isinstance(getattr(messages, name), types.UnionType)}
    assert unions - {"Message"} == set(DIRECTIONS)


def test_the_document_names_the_caps_and_the_version() -> None:
    assert f"version {PROTOCOL_VERSION}" in DOCUMENT
    for cap in (MAX_FRAME, HANDSHAKE_MAX_FRAME):
        assert f"{cap:,} bytes" in DOCUMENT


def test_the_worked_example_is_read_back_from_the_document_itself() -> None:
    blocks = re.findall(r"(?m)^(?:worker|master) -> \w+: (\w+)\n((?: {4}[0-9a-f ]+\n)+)", DOCUMENT)
    assert [name for name, _ in blocks] == ["Hello", "Challenge", "ClientProof", "ServerProof"]
    for name, text in blocks:
        frame = bytes.fromhex(text)
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        assert type(codec_for(HandshakeMessage).decode(frame[4:]).message).__name__ == name


def test_handshake_messages_keep_their_shape_for_ever() -> None:
    # Two versions must be able to say that they differ. This list is not to be changed with the code.
    shapes = {
        "Hello": ("version", "cluster", "role", "name", "incarnation", "nonce"),
        "Challenge": ("version", "cluster", "epoch", "nonce"),
        "ClientProof": ("proof",),
        "ServerProof": ("proof",),
        "HandshakeFailed": ("reason",),
    }
    assert {name: getattr(messages, name).__match_args__ for name in shapes} == shapes
    assert set(codec_for(HandshakeMessage).names) == set(shapes)
    assert framed(HandshakeFailed("no"), HandshakeMessage)[4:].hex(" ") == (
        "82 a4 74 79 70 65 af 48 61 6e 64 73 68 61 6b 65 46 61 69 6c 65 64 "
        "a4 62 6f 64 79 81 a6 72 65 61 73 6f 6e a2 6e 6f"
    )
