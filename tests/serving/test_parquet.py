"""Parquet by a process of its own, which may die, hang or be absent."""

import gc
import io
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.serving.parquet import Parquet
from mainstay.serving.problems import Rejected


@pytest.fixture
def parquet_file() -> bytes:
    into = io.BytesIO()
    pq.write_table(pa.table({"age": [1, 2], "plan": ["a", None]}), into)
    return into.getvalue()


def test_a_file_becomes_a_stream_and_back(parquet_file: bytes) -> None:
    parquet = Parquet()
    try:
        stream = parquet.to_arrow(parquet_file)
        found = pa.ipc.open_stream(stream).read_all()
        assert pa.types.is_dictionary(found.schema.field("plan").type)
        assert found.to_pylist() == [{"age": 1, "plan": "a"}, {"age": 2, "plan": None}]
        back = pq.read_table(io.BytesIO(parquet.from_arrow(stream)))
        assert back.to_pylist() == found.to_pylist()
        with pytest.raises(Rejected) as refused:
            parquet.to_arrow(b"no such file")
        assert refused.value.status == 400
        assert parquet.to_arrow(parquet_file) == stream  # what was no file ended nothing
    finally:
        parquet.close()


def test_a_process_that_dies_is_replaced(parquet_file: bytes) -> None:
    parquet = Parquet()
    try:
        parquet.to_arrow(parquet_file)
        assert parquet.process is not None
        parquet.process.kill()
        parquet.process.wait()
        assert parquet.to_arrow(parquet_file)
    finally:
        parquet.close()


def test_a_process_ends_with_the_last_who_could_ask_it(parquet_file: bytes) -> None:
    parquet = Parquet()
    parquet.to_arrow(parquet_file)
    process = parquet.process
    assert process is not None
    del parquet
    assert process.returncode is not None


@pytest.mark.parametrize("script", ["import time; time.sleep(60)", "raise SystemExit(3)"])
def test_one_that_hangs_or_cannot_start_answers_503(tmp_path: Path, script: str) -> None:
    path = tmp_path / "converter.py"
    path.write_text(script)
    parquet = Parquet(seconds=0.5, command=(sys.executable, str(path)))
    with pytest.raises(Rejected) as refused:
        parquet.to_arrow(bytes(10_000_000))
    assert refused.value.status == 503
    assert parquet.process is None


def test_without_the_extra_the_hint_says_what_is_to_be_done() -> None:
    with pytest.raises(Rejected) as refused:
        Parquet(needs="no_such_package").check()
    assert refused.value.status == 415
    assert "serving-batch" in refused.value.detail
    Parquet().check()


def test_a_process_ends_with_who_asked_for_it(parquet_file: bytes) -> None:
    parquet = Parquet()
    parquet.to_arrow(parquet_file)
    process = parquet.process
    assert process is not None
    del parquet
    gc.collect()
    assert process.returncode is not None
