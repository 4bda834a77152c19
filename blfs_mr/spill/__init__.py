"""Intermediate data on shared files: the format of the bytes, their writer and their reader.

``docs/spill_format.md`` specifies the format; ``format`` packs and parses it without any I/O.
"""
