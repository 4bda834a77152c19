"""The consistency contract's lines, and how a breach of one is told: with its line and the remedy."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from blfs_mr.model import VolumeLayout
from blfs_mr.volume.superblock_pages import superblock_place


class ContractLine(enum.Enum):
    """The lines of the contract (``docs/volumes.md``). A look at a volume can find 1, 2, 4 and 5 broken."""

    FROZEN_METADATA = (1, "frozen metadata")
    ONE_WRITER = (2, "one writer")
    FLUSH_THEN_PUBLISH = (3, "flush, then publish")
    DIRECT_READS = (4, "direct reads only")
    SELF_DESCRIBING = (5, "self-describing bytes")
    VERIFY_BEFORE_USE = (6, "verify before use")
    LEASES_OUTLIVE_READERS = (7, "leases outlive readers")
    LEASES_OUTLIVE_WRITERS = (8, "leases outlive writers")

    def __init__(self, number: int, title: str) -> None:
        self.number, self.title = number, title


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach: what is the case, and what to do."""

    line: ContractLine
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem} (contract line {self.line.number}, {self.line.title}): {self.remedy}"


@dataclass(frozen=True, slots=True)
class VolumePlace:
    """A volume as it is configured: ``root`` is the mount point, empty in the raw layout."""

    layout: VolumeLayout
    device: str
    root: str = ""

    @property
    def place(self) -> str:
        return superblock_place(self.layout, self.root, self.device)
