"""Sort 100-byte records by their first 10 bytes with PySpark and two cores: ``spark_sort.py PATH FOLDER``."""

import sys
from collections.abc import Iterable
from pathlib import Path

from pyspark import SparkConf, SparkContext  # type: ignore[import-not-found,import-untyped,unused-ignore]

RECORD_SIZE, KEY_SIZE = 100, 10
PARTITIONS = 16


def main(path: str, folder: str) -> None:
    settings = SparkConf().setMaster("local[2]").setAppName("sort").set("spark.ui.enabled", "false")
    settings.set("spark.driver.memory", "2g")

    def write(partition: int, records: Iterable[tuple[bytes, bytes]]) -> Iterable[int]:
        with open(Path(folder) / f"part-{partition:05d}", "wb") as file:
            file.writelines(key + value for key, value in records)
        return ()

    with SparkContext(conf=settings) as context:
        records = context.binaryRecords(path, RECORD_SIZE)
        pairs = records.map(lambda record: (record[:KEY_SIZE], record[KEY_SIZE:]))
        pairs.sortByKey(numPartitions=PARTITIONS).mapPartitionsWithIndex(write).collect()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
