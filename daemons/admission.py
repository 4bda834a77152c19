"""Whom the master admits: what its configuration's files say, read at the start and again at each SIGHUP.

So secret and certificates are replaced, and hosts cut off, while jobs run.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blfs_mr.errors import ConfigError
from blfs_mr.net.listener import Listener
from blfs_mr.secret import load_or_create_secrets
from blfs_mr.tls import REVOKED_FILE, server_context

if TYPE_CHECKING:
    from blfs_mr.config import Config

logger = logging.getLogger("blfs_mr.master")


@dataclass(frozen=True, slots=True)
class Admission:
    """The secrets, one of which each peer proves; TLS, if any; the serial numbers of revoked certificates."""

    secrets: tuple[bytes, ...]
    tls: ssl.SSLContext | None
    revoked: frozenset[int]


def load_admission(config: Config) -> Admission:
    """What the files say now. Raises ConfigError."""
    secrets, folder = load_or_create_secrets(config.secret_path), config.tls_folder
    if folder is None:
        return Admission(secrets, None, frozenset())
    # Without TLS nothing needs it, and it takes longer to load than all else.
    from blfs_mr.pki import revoked_serials

    return Admission(secrets, server_context(folder), revoked_serials(folder / REVOKED_FILE))


def reload_on_hangup(config: Config, listener: Listener) -> None:
    """From now on, SIGHUP makes the listener admit what the files say by then."""

    def reload() -> None:
        try:
            admission = load_admission(config)
        except ConfigError as error:
            logger.error("what was admitted before still is: %s", error)
            return
        listener.admit(admission.secrets, admission.tls, admission.revoked)
        logger.info("secret and certificates are read anew")

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
