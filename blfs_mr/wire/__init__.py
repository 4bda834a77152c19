"""The protocol without its transport: messages, their bytes, and the handshake.

Nothing here opens a socket, reads a clock or draws a random number; bytes and nonces are arguments. So one
implementation serves the daemons' event loop (``blfs_mr.net``) and the blocking socket of a task process
(``blfs_mr.blocking_link``), and tests need neither. The bytes are specified in ``docs/wire_protocol.md``.
"""
