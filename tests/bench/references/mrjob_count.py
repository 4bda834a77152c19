"""Count the words of a text with mrjob: ``mrjob_count.py -r local --num-cores 2 PATH``."""

from collections.abc import Iterable, Iterator

from mrjob.job import MRJob  # type: ignore[import-not-found,import-untyped,unused-ignore]


class WordCount(MRJob):  # type: ignore[misc,unused-ignore]
    def mapper(self, _key: None, line: str) -> Iterator[tuple[str, int]]:
        for word in line.split():
            yield word, 1

    def combiner(self, word: str, counts: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield word, sum(counts)

    def reducer(self, word: str, counts: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield word, sum(counts)


if __name__ == "__main__":
    WordCount.run()
