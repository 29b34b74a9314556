"""Generated requests against a real server, by the OpenAPI document that it tells of itself at that moment."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

SECRET = "all-of-it"
SETTINGS = """
[generation]
deterministic = true
[phases.stateful]
enabled = false
[checks]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "413", "415", "422"]
# One bad item spoils no other: it is told of in an answer that is otherwise good. And of a table in another format than
# JSON no schema says what is in it.
[[operations]]
include-path = "/predict_batch"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "413", "422"]
checks.negative_data_rejection.expected-statuses = ["200", "400", "401", "406", "413", "415", "422"]
[[operations]]
include-path = "/feedback"
checks.negative_data_rejection.expected-statuses = ["202", "400", "401", "406", "413", "415", "422"]
# No schema says that a tensor's values are as many as its shape has places, and all inputs equally long.
[[operations]]
include-path-regex = "/infer$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "413", "422"]
"""


def generated(address: str, secret: str | None, directory: Path, examples: int) -> int:
    """How many requests were made, at most so many of them at random for each route; all of them answered as told."""
    headers = {"authorization": f"Bearer {SECRET}"}
    document = directory / "openapi.json"
    document.write_bytes(httpx.get(f"{address}/openapi.json", headers=headers).content)
    (directory / "schemathesis.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", address, "--no-color"]
    command += ["--checks", "all", "--continue-on-failure", "--max-examples", str(examples)]
    if secret is not None:
        command += ["--header", f"Authorization: Bearer {secret}"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "COVERAGE_PROCESS_START": ""}  # noqa: TID251
    made = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    found = re.search(r"Test cases:\s+([\d,]+) generated", made.stdout)
    assert found, made.stdout
    return int(found[1].replace(",", ""))


Served = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def guarded(strict_home: Path, served: Served, give_key: Callable[..., None]) -> Iterator[str]:
    """The address of a server on which one key may do everything. It must not answer 500 meanwhile."""
    give_key(strict_home, SECRET, scopes=("predict", "feedback", "read", "operate"))
    with served(strict_home) as address:
        yield address
        counted = httpx.get(f"{address}/metrics", headers={"authorization": f"Bearer {SECRET}"}).text
        assert 'status="200"' in counted
        assert 'status="500"' not in counted


@pytest.mark.long
def test_what_is_told_of_the_server_is_so(guarded: str, tmp_path: Path) -> None:
    assert generated(guarded, SECRET, tmp_path, 2) >= 200


@pytest.mark.long
def test_what_is_told_of_the_server_is_so_of_thousands_of_requests(
    guarded: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    known, unknown = generated(guarded, SECRET, tmp_path, 400), generated(guarded, None, tmp_path, 60)
    with capfd.disabled():
        sys.stdout.write(f"\n{known:,} requests generated with a key, {unknown:,} without\n")
    assert known + unknown >= 5000
