"""What the sides of an examination say to each other: one JSON object a line.

::

    owner                          whoever brings them together               each peer
      Introduction ──────────────────────────────────────────────────────────►  looks at its device
                                                          ◄─────────────────────── Seen of round 0
      ◄──────────────────── Seen of round 0, of all peers
      Published, one for each round ────────────────────────────────────────►  reads
      ◄──────────────────── Seen, up to which all peers have read ◄─────────────── Seen, one for each round
      SideReport ──────────►                      Finish ───────────────────►
                                                          ◄─────────────────────── SideReport

A side that cannot take part says so in a SideReport at once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from blfs_mr.errors import MalformedMessage

Hexadecimal = Annotated[str, Field(pattern=r"^[0-9a-f]{16,32}$")]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Introduction(_Message):
    """The owner's first word: which volume, and the session whose stamps its canary will carry."""

    kind: Literal["introduction"] = "introduction"
    volume: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    owner: Annotated[str, Field(min_length=1, max_length=64)]
    session: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Published(_Message):
    """A round is written and flushed; ``digest`` is that of its cell."""

    kind: Literal["published"] = "published"
    round: Count
    digest: Hexadecimal


class Seen(_Message):
    """A peer has read a round, 0 before the first; ``wrong`` says what it saw, empty where that was right."""

    kind: Literal["seen"] = "seen"
    round: Count
    wrong: str = ""


class Finish(_Message):
    """There are no more rounds."""

    kind: Literal["finish"] = "finish"


class Breach(_Message):
    """A finding (:class:`blfs_mr.volume.contract.Finding`) on its way; ``line`` is its number."""

    line: Annotated[int, Field(ge=1, le=8)]
    problem: str
    remedy: str


class Path(_Message):
    """A side's way to the disk. ``write_cache`` is the kernel's word for it, empty where it has none."""

    device: str
    size: Count
    logical_block_size: Count
    read_only: bool
    write_cache: str
    through_page_cache: bool


class Timing(_Message):
    """How long something took, in seconds, over all rounds."""

    median: Seconds
    slowest_percent: Seconds


class OwnerDeeds(_Message):
    """``flushes`` are those that the device was sent meanwhile; None where nobody counts them."""

    publishing: Timing
    flushes: Count | None


class PeerDeeds(_Message):
    """``writing`` is what came of trying to write; ``bandwidth`` is in bytes a second."""

    rounds: Count
    wrong: dict[str, Count]
    latency: Timing
    bandwidth: Seconds
    writing: Literal["refused", "written", "untried"]
    writing_told: str


class SideReport(_Message):
    """All that one side found. Without ``deeds`` it could not take part, and ``why`` says why."""

    kind: Literal["report"] = "report"
    path: Path | None
    breaches: tuple[Breach, ...]
    deeds: OwnerDeeds | PeerDeeds | None
    why: str = ""


Message = Introduction | Published | Seen | Finish | SideReport

_ANY: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


def parse(line: str | bytes) -> Message:
    """The message in a line. Raises MalformedMessage."""
    try:
        return _ANY.validate_json(line)
    except ValidationError as error:
        shown = line[:200]
        raise MalformedMessage(
            f"{shown!r} is no message of a volume doctor: run the same version of blfs-mr on all hosts"
        ) from error
