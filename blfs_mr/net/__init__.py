"""Links over asyncio: the shell that gives the protocol of ``blfs_mr.wire`` its sockets and its time.

``Link`` is one open connection, ``serve`` accepts them for the master, ``connect`` makes one to it. Runs
under uvloop and under the standard event loop alike. Everything is logged as ``blfs_mr.net``: INFO when a
link opens or closes, DEBUG for each frame.
"""

from blfs_mr.net.dial import connect
from blfs_mr.net.link import KeepAlive, Link
from blfs_mr.net.listener import Listener, Peer, serve

__all__ = ["KeepAlive", "Link", "Listener", "Peer", "connect", "serve"]
