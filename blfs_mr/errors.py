"""Every exception this package raises, in one tree, with the blame kept apart.

::

    BlfsMrError
     ├── UsageError                  the user's: what was asked for cannot be done as asked (exit code 2)
     │    ├── ConfigError            config.toml, the environment or an option
     │    ├── JobFileError           the job file: syntax, import, no Job, two Jobs, bad parameter
     │    ├── InputError             an input that is missing or cannot be read
     │    └── OutputError            an output that exists or cannot be written
     ├── JobFailed                   a job ended without its result (exit code 1)
     ├── UserCodeError               the user's code raised or yielded what cannot be carried
     │    ├── KeyNotSupported        a key of a type, or with a value, that cannot be a key
     │    ├── KeysNotComparable      two keys of one partition that have no order between them
     │    └── ValueNotSupported      a value that cannot be carried
     ├── ProtocolError               the peer's: what came over a link is not what may come
     │    ├── FrameTooLarge
     │    ├── MalformedFrame
     │    ├── MalformedMessage
     │    ├── HandshakeRefused       version, cluster or secret differ
     │    └── RequestFailed          the peer answered a request with a reason why not
     ├── LinkClosed                  the connection ended while something was still expected of it
     ├── VolumeError                 a device's or an operator's: a volume that breaks the contract
     │    ├── VolumeBusy             another process holds the volume
     │    └── DirectIONotSupported
     ├── ClusterError                a host of the cluster, or the way to it
     │    ├── HostUnreachable        no connection, or none any more
     │    ├── HostKeyRefused         the host's key is unknown, or another than before
     │    ├── LoginRefused           the host does not take our key, or gives us no root
     │    └── HostTooSlow            no answer within the deadline
     ├── PoolExhausted               the shared files are too few or too small for this job
     │    └── RecordTooLarge         one record does not fit into any shared file
     ├── CorruptData                 bytes that are not what was published; never handed to user code
     │    ├── BadMagic, UnsupportedVersion, ChecksumMismatch, WrongVolume, WrongGeneration,
     │    │   WrongAttempt, WrongPosition, BadIndex, BadBlock, TruncatedFile, DigestMismatch
     └── InternalError               ours: a bug; please report it
          └── InvalidTransition      an event that no state expects, with the story so far
"""

from __future__ import annotations


class BlfsMrError(Exception):
    """Root of all exceptions of this package."""


class UsageError(BlfsMrError):
    """What was asked for cannot be done as asked; the message says what to do instead."""


class ConfigError(UsageError):
    """A configuration that cannot be used: the message names source, key and what is allowed."""


class JobFileError(UsageError):
    """A job file that cannot be loaded, or parameters that it does not take.

    ``traceback`` holds the user's own traceback where their code raised, else None.
    """

    def __init__(self, message: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.traceback = traceback


class InputError(UsageError):
    """An input that does not exist or cannot be read."""


class OutputError(UsageError):
    """An output that exists already or cannot be written."""


class JobFailed(BlfsMrError):
    """A job that ended without its result, with the reason."""


class UserCodeError(BlfsMrError):
    """The user's code yielded something that cannot be carried."""


class KeyNotSupported(UserCodeError):
    """A key of a type, or with a value, that cannot be a key (NaN, a list, an instance of a class)."""


class KeysNotComparable(UserCodeError):
    """Two keys of one partition that Python cannot order."""


class ValueNotSupported(UserCodeError):
    """A value of a type that cannot be carried from a mapper to a reducer."""


class ProtocolError(BlfsMrError):
    """The peer sent what it may not send; the connection is closed with this reason."""


class FrameTooLarge(ProtocolError):
    """A frame whose length is above the cap."""


class MalformedFrame(ProtocolError):
    """A frame that is no msgpack map of the envelope's shape."""


class MalformedMessage(ProtocolError):
    """A message of an unknown name, or whose fields do not fit its definition."""


class HandshakeRefused(ProtocolError):
    """Peer and we differ in protocol version, cluster or secret."""


class RequestFailed(ProtocolError):
    """The peer refused a request; the message is its reason."""


class LinkClosed(BlfsMrError):
    """The connection ended while something was still expected of it."""


class VolumeError(BlfsMrError):
    """A volume that is absent, broken, or in breach of the consistency contract."""


class VolumeBusy(VolumeError):
    """Another process holds the volume's lock."""


class DirectIONotSupported(VolumeError):
    """The file system under a volume refuses ``O_DIRECT``."""


class ClusterError(BlfsMrError):
    """A host of the cluster, or the way to it; the message names the host and says what to do."""


class HostUnreachable(ClusterError):
    """No connection to the host could be made, or it ended."""


class HostKeyRefused(ClusterError):
    """The host shows a key that is unknown, or another than the one that is known."""


class LoginRefused(ClusterError):
    """The host does not take our key, or does not make us root."""


class HostTooSlow(ClusterError):
    """The host did not answer within the deadline."""


class PoolExhausted(BlfsMrError):
    """The pool of shared files can never satisfy this job; the message says what would."""


class RecordTooLarge(PoolExhausted):
    """One record alone is larger than a shared file can hold."""


class CorruptData(BlfsMrError):
    """Bytes that are not the ones that were published. They are never handed to user code."""


class BadMagic(CorruptData):
    """The page does not begin as a page of the spill format does."""


class UnsupportedVersion(CorruptData):
    """The page is of a version of the format that this code does not read."""


class ChecksumMismatch(CorruptData):
    """A page or block whose contents do not match its checksum."""


class WrongVolume(CorruptData):
    """The page was written for another volume."""


class WrongGeneration(CorruptData):
    """The page was written under another lease of the shared file."""


class WrongAttempt(CorruptData):
    """The page was written by another job, task or attempt."""


class WrongPosition(CorruptData):
    """A page or block that stands elsewhere than where it was written."""


class BadIndex(CorruptData):
    """An index whose entries contradict the file or one another."""


class BadBlock(CorruptData):
    """A block whose header contradicts its segment."""


class TruncatedFile(CorruptData):
    """The file ends before the bytes that its index promises."""


class DigestMismatch(CorruptData):
    """The header is sound but not the one that was published."""


class InternalError(BlfsMrError):
    """A bug of ours."""


class InvalidTransition(InternalError):
    """An event that the state it met does not expect. ``story`` lists what happened before, oldest first."""

    def __init__(self, subject: str, state: str, event: str, story: tuple[str, ...] = ()) -> None:
        told = "".join(f"\n  {line}" for line in story)
        super().__init__(f"{subject} in state {state} does not expect {event}; its story:{told or ' none'}")
        self.subject, self.state, self.event, self.story = subject, state, event, story
