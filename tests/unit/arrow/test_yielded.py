"""What user code yields is checked before it travels."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from blfs_mr.arrow.yielded import Conformer, tables_of
from blfs_mr.errors import UserCodeError

TABLE = pa.table({"key": [1], "value": ["a"]})


@pytest.mark.parametrize(
    ("yielded", "said"),
    [(None, "None"), (TABLE, "yield table"), ([{"key": 1}], "got dict"), ([1], "got int")],
)
def test_what_is_no_table_is_refused(yielded: Any, said: str) -> None:
    with pytest.raises(UserCodeError, match=said):
        list(tables_of(yielded, "map_batch"))


def test_record_batches_pass_for_tables() -> None:
    assert list(tables_of(TABLE.to_batches(), "map_batch")) == [TABLE]


def test_without_a_declared_schema_the_first_table_sets_it() -> None:
    conformer = Conformer(None, ["key"])
    assert conformer.conform(TABLE) == TABLE
    with pytest.raises(UserCodeError, match="batch_schema"):
        conformer.conform(pa.table({"key": ["1"], "value": ["a"]}))


def test_columns_that_a_table_lacks_become_null_and_types_are_cast() -> None:
    schema = pa.schema({"value": pa.string(), "key": pa.int32(), "more": pa.float64()})
    found = Conformer(schema, ["key"]).conform(TABLE)
    assert found.schema == schema
    assert found.to_pylist() == [{"value": "a", "key": 1, "more": None}]


def test_a_column_that_the_schema_does_not_have_is_refused() -> None:
    with pytest.raises(UserCodeError, match="value"):
        Conformer(pa.schema({"key": pa.int64()}), ["key"]).conform(TABLE)


def test_a_value_that_cannot_be_cast_is_the_users() -> None:
    with pytest.raises(UserCodeError, match="batch_schema"):
        Conformer(pa.schema({"key": pa.int64(), "value": pa.int64()}), ["key"]).conform(TABLE)


def test_dictionaries_become_plain_columns() -> None:
    table = pa.table({"key": pa.array(["a", "b", "a"]).dictionary_encode()})
    found = Conformer(None, ["key"]).conform(table)
    assert found["key"].type == pa.string()
    assert found["key"].to_pylist() == ["a", "b", "a"]


def test_a_key_that_is_no_column_is_named() -> None:
    with pytest.raises(UserCodeError, match="'kye'"):
        Conformer(None, ["kye"]).conform(TABLE)
