"""DuckDB, asked one question at a time: files and Arrow tables in, one Arrow table out, times in UTC."""

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa

from mainstay.errors import Unavailable

MEMORY = "1GB"
"""What one question may hold in memory; what sorts and groups need beyond it goes to a temporary directory."""


def ask(
    query: str, values: Mapping[str, Any], tables: Mapping[str, pa.Table], place: str, memory: str = MEMORY
) -> pa.Table:
    """The answer to a query with `$name` values over these tables by name.

    It holds `memory` at most, beside the tables and the answer. Unavailable, with `place`, where a file cannot be read,
    or where memory or the disk runs out.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="mainstay-query-", ignore_cleanup_errors=True) as spilled:
            return _asked(query, values, tables, {"memory_limit": memory, "temp_directory": spilled})
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.OutOfMemoryException, OSError) as error:
        raise Unavailable(f"cannot be read: {str(error).splitlines()[0]}", place) from error


def _asked(
    query: str, values: Mapping[str, Any], tables: Mapping[str, pa.Table], settings: Mapping[str, str]
) -> pa.Table:
    threads = min(4, os.cpu_count() or 1)
    with duckdb.connect(config={"threads": threads, **settings}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(query, params=dict(values)).to_arrow_table()


def quoted(name: str) -> str:
    """A column's name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"
