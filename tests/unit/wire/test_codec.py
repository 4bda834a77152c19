"""Every message survives its bytes, and whatever other bytes come, only a ProtocolError comes of them."""

from __future__ import annotations

import enum
import functools
import operator
import types
import typing
from dataclasses import dataclass, fields, is_dataclass

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import FrameTooLarge, InternalError, MalformedFrame, MalformedMessage, ProtocolError
from blfs_mr.model import (
    AttemptId,
    InputSplit,
    JobFile,
    JobId,
    JobSettings,
    JobSpec,
    TaskId,
    TaskKind,
    WorkerName,
)
from blfs_mr.wire.codec import Codec, Envelope, codec_for
from blfs_mr.wire.fields import converter
from blfs_mr.wire.frames import MAX_FRAME
from blfs_mr.wire.messages import base, child, client, handshake, launcher, worker
from blfs_mr.wire.messages.base import Heartbeat
from blfs_mr.wire.messages.client import ClientToMaster, JobProgressed, MasterToClient, SubmitJob
from blfs_mr.wire.messages.worker import MasterToWorker, TaskLaunched, WorkerToMaster

messages = types.SimpleNamespace(
    **{
        name: value
        for module in (base, handshake, worker, client, child, launcher)
        for name, value in vars(module).items()
    }
)
"""All messages and unions by name, whatever link they belong to."""

EVERY_MESSAGE = tuple(
    value
    for value in vars(messages).values()
    if isinstance(value, type) and issubclass(value, base.Message) and value is not base.Message
)

every_codec = codec_for(functools.reduce(operator.or_, EVERY_MESSAGE))

# All of Unicode, lone surrogates too: paths that are not UTF-8 have them.
texts = st.text(st.integers(0, 0x10FFFF).map(chr), max_size=8)


def instances(annotation: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Values of a field's type, built from the annotation by means of their own."""
    while isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__
    arguments = typing.get_args(annotation)
    scalars: dict[typing.Any, st.SearchStrategy[typing.Any]] = {
        str: texts,
        int: st.integers(-(2**63), 2**64 - 1),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        bytes: st.binary(max_size=40),
        types.NoneType: st.none(),
    }
    if annotation in scalars:
        return scalars[annotation]
    if typing.get_origin(annotation) is tuple:
        return st.lists(instances(arguments[0]), max_size=2).map(tuple)
    if typing.get_origin(annotation) is dict:
        return st.dictionaries(texts, instances(arguments[1]), max_size=2)
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return st.one_of(*map(instances, arguments))
    if issubclass(annotation, enum.Enum):
        return st.sampled_from(annotation)
    assert is_dataclass(annotation)
    assert isinstance(annotation, type)
    hints = typing.get_type_hints(annotation)
    return st.builds(annotation, **{field.name: instances(hints[field.name]) for field in fields(annotation)})


def body(name: str, **values: object) -> bytes:
    return typing.cast(bytes, msgpack.packb({"type": name, "body": values}))


@pytest.mark.parametrize("message_type", EVERY_MESSAGE, ids=lambda one: one.__name__)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_every_message_survives_its_bytes(message_type: type, data: st.DataObject) -> None:
    message = data.draw(instances(message_type))
    number = data.draw(st.none() | st.integers(1, 2**40))
    for envelope in (Envelope(message, id=number), Envelope(message, reply_to=number)):
        decoded = every_codec.decode(every_codec.encode(envelope))
        assert decoded == envelope
        assert repr(decoded) == repr(envelope)  # 1, 1.0 and True are equal, but not the same


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing_but_protocol_errors(garbage: bytes) -> None:
    with pytest.raises(ProtocolError):
        every_codec.decode(garbage)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | texts
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts | st.binary(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([one.__name__ for one in EVERY_MESSAGE]) | anything,
    st.sampled_from(["attempt", "job", "reason"]).flatmap(
        lambda name: st.dictionaries(st.just(name), anything)
    )
    | anything,
    st.dictionaries(st.sampled_from(["id", "reply_to", "else"]), anything),
)
def test_random_envelopes_raise_nothing_but_protocol_errors(
    name: object, contents: object, more: dict[str, object]
) -> None:
    packed = msgpack.packb({"type": name, "body": contents, **more}, unicode_errors="surrogatepass")
    try:
        envelope = every_codec.decode(packed)
    except ProtocolError:
        return
    assert isinstance(envelope.message, EVERY_MESSAGE)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_truncated_or_altered_message_raises_nothing_but_protocol_errors(data: st.DataObject) -> None:
    whole = bytearray(every_codec.encode(Envelope(TaskLaunched(an_attempt(), 77), id=3)))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(whole)))
    try:
        every_codec.decode(bytes(whole[:cut]))
    except ProtocolError:
        pass


def an_attempt() -> AttemptId:
    return AttemptId(TaskId(JobId("0123456789abcdef"), TaskKind.MAP, 4), 1)


ENDED: dict[str, object] = {
    "job": "j", "failure": None, "parts": (), "counters": {}, "seconds": 1, "attempts_failed": 0,
}  # fmt: skip
PART = {"partition": 0, "path": "p", "worker": "w", "size": 1}
SABOTAGE = {"kind": "sabotage", "summary": "", "traceback": "", "record": "", "log_tail": ""}
PROGRESS: dict[str, object] = {
    "job": "j", "maps_done": 1, "maps_total": 2, "reduces_done": 0, "reduces_total": 1, "running": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("packed", "error", "told"),
    [
        (b"", MalformedFrame, "no msgpack"),
        (b"\xc1", MalformedFrame, "no msgpack"),
        (b"GET / HTTP/1.1\r\n\r\n", MalformedFrame, "no msgpack"),
        (b"\x91" * 2000 + b"\xc0", MalformedFrame, "no msgpack"),
        (b"\xdd\xff\xff\xff\xff", MalformedFrame, "no msgpack"),
        (msgpack.packb([1]), MalformedFrame, "no map but an array of 1"),
        (msgpack.packb({1: 2}), MalformedFrame, "no msgpack"),
        (msgpack.packb({"type": "Heartbeat"}), MalformedFrame, "keys 'type'"),
        (msgpack.packb({"type": "Heartbeat", "body": {}, "more": 1}), MalformedFrame, "more"),
        (msgpack.packb({"type": "Heartbeat", "body": {}, "id": 0}), MalformedFrame, "from 1 on, not 0"),
        (msgpack.packb({"type": "Heartbeat", "body": {}, "id": True}), MalformedFrame, "not True"),
        (msgpack.packb({"type": "Heartbeat", "body": {}, "id": 1, "reply_to": 1}), MalformedFrame, "at once"),
        (body("Nonsense"), MalformedMessage, "unknown message 'Nonsense'; allowed are Heartbeat, Refused"),
        (msgpack.packb({"type": 7, "body": {}}), MalformedMessage, "unknown message 7"),
        (msgpack.packb({"type": "Heartbeat", "body": None}), MalformedMessage, "without fields, not None"),
        (body("Heartbeat", x=1), MalformedMessage, "Heartbeat has an unknown field 'x'; there are no fields"),
        (body("Refused"), MalformedMessage, "Refused lacks the field reason; the fields are reason"),
        (body("Refused", reason=b"x"), MalformedMessage, r"Refused\.reason must be a string, not b'x'"),
        (body("Refused", reason={}), MalformedMessage, r"Refused\.reason must be a string, not a map of 0"),
        (
            body("JobProgressed", **{**PROGRESS, "running": True}),
            MalformedMessage,
            r"JobProgressed\.running must be an integer, not True",
        ),
        (
            body("JobEnded", **{**ENDED, "failure": SABOTAGE}),
            MalformedMessage,
            r"JobEnded\.failure\.kind must be one of user-code, .* not 'sabotage'",
        ),
        (
            body("JobEnded", **{**ENDED, "counters": {"a": "b"}}),
            MalformedMessage,
            r"JobEnded\.counters\['a'\] must be an integer, not 'b'",
        ),
        (
            body("JobEnded", **{**ENDED, "parts": [PART, 3]}),
            MalformedMessage,
            r"JobEnded\.parts\[1\] must be a map with the fields partition, path, worker, size, not 3",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place_and_what_is_allowed(
    packed: bytes, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        codec_for(MasterToClient).decode(packed)


def test_a_long_value_is_shortened_in_the_error() -> None:
    with pytest.raises(MalformedMessage) as caught:
        codec_for(MasterToClient).decode(body("x" * 100_000))
    assert "100000 long" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_whole_number_is_taken_where_a_float_is_expected_and_becomes_one() -> None:
    packed = body("WorkerRegistered", live=(), heartbeat_interval=2)
    message = codec_for(MasterToWorker).decode(packed).message
    assert isinstance(message, messages.WorkerRegistered)
    assert type(message.heartbeat_interval) is float


def test_a_message_of_another_direction_is_refused_on_the_way_in_and_out() -> None:
    launched = TaskLaunched(an_attempt(), 1)
    packed = codec_for(WorkerToMaster).encode(Envelope(launched))
    with pytest.raises(MalformedMessage, match="unknown message 'TaskLaunched'"):
        codec_for(MasterToWorker).decode(packed)
    with pytest.raises(InternalError, match="TaskLaunched may not be sent"):
        codec_for(MasterToWorker).encode(Envelope(launched))


def test_a_value_that_msgpack_cannot_carry_is_our_error_and_leaves_the_codec_usable() -> None:
    codec = Codec(MasterToClient)
    with pytest.raises(InternalError, match="JobProgressed holds a value that cannot be sent"):
        codec.encode(Envelope(JobProgressed(JobId("j"), 2**64, 1, 1, 1, 1)))
    with pytest.raises(InternalError, match="JobProgressed holds a value that cannot be sent"):
        codec.encode(Envelope(JobProgressed(JobId("j"), typing.cast(int, object()), 1, 1, 1, 1)))
    assert codec.decode(codec.encode(Envelope(Heartbeat()))) == Envelope(Heartbeat())


def submission(splits: int, source: int) -> SubmitJob:
    path = "/data/experiments/2026/corpus/collection-0007/part-00042.txt"
    names = (WorkerName("worker-17"),)
    settings = JobSettings(1, 4, 2**28, 2**18, 0.0, "lines", "text", "/out", True)
    spec = JobSpec("name", JobFile("/job.py", bytes(source), "Job"), {}, settings)
    return SubmitJob(spec, tuple(InputSplit(path, i << 25, 1 << 25, 0, names) for i in range(splits)))


def test_the_largest_job_that_the_cap_was_made_for_fits_and_a_larger_one_is_named() -> None:
    codec = codec_for(ClientToMaster)
    assert len(codec.encode(Envelope(submission(100_000, 4 * 1024 * 1024)))) <= MAX_FRAME
    with pytest.raises(FrameTooLarge, match="SubmitJob takes"):
        codec.encode(Envelope(submission(1, MAX_FRAME)))


def test_no_two_messages_of_one_direction_share_a_name() -> None:
    for name in dir(messages):
        union = getattr(messages, name)
        if isinstance(union, types.UnionType):
            assert len(codec_for(union).names) == len(typing.get_args(union)), name


@dataclass(frozen=True)
class Unsupported:
    values: list[int]


def test_a_field_type_without_a_rule_is_our_error() -> None:
    for annotation in (Unsupported, list[int], int | tuple[int, ...], dict[int, int]):
        with pytest.raises(InternalError, match="field cannot be"):
            converter(annotation)
