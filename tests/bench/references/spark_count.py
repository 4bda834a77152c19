"""Count the words of a text with PySpark's RDDs and two cores: ``spark_count.py PATH``."""

import sys
from operator import add

from pyspark import SparkConf, SparkContext  # type: ignore[import-not-found,import-untyped,unused-ignore]


def main(path: str) -> None:
    settings = SparkConf().setMaster("local[2]").setAppName("wordcount").set("spark.ui.enabled", "false")
    with SparkContext(conf=settings) as context:
        words = context.textFile(path).flatMap(str.split)
        counts = words.map(lambda word: (word, 1)).reduceByKey(add).collect()
    print(sum(count for _, count in counts))


if __name__ == "__main__":
    main(sys.argv[1])
