"""Build the index of a search engine: for each word, the documents that it occurs in.

::

    python -m blfs_mr.submit blfs_mr/examples/inverted_index.py FOLDER

Input: a folder of text files, each a document. Output: ``word<TAB>["path", ...]``, the paths sorted, as JSON.
"""

import re
from collections.abc import Iterable, Iterator

from blfs_mr import Job
from blfs_mr.job import Split


class InvertedIndex(Job):
    # A whole split at a time: each word then leaves the mapper once for a split, not once for an occurrence.
    def map_split(self, split: Split) -> Iterator[tuple[str, str]]:
        words: set[str] = set()
        for line in split.lines():
            words.update(re.findall(r"\w+", line.lower()))
        for word in words:
            yield word, split.path

    def reduce(self, key: str, values: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
        yield key, sorted(set(values))
