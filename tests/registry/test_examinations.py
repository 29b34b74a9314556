import dataclasses
import json
from pathlib import Path

import pytest

from mainstay.adapters.blobs import BlobDirectory
from mainstay.errors import NotFound, Refused
from mainstay.examined import Examination
from mainstay.nouns import Holdout, Run
from mainstay.records import decode, encode
from mainstay.registry.examinations import examination, keep_examination

GOLDEN = Path(__file__).parents[1] / "golden" / "Examination.1.json"


@pytest.fixture
def examined() -> Examination:
    return decode(Examination, json.loads(GOLDEN.read_text()))


@pytest.fixture
def run(examined: Examination, tiny_blobs: BlobDirectory) -> Run:
    kept = keep_examination(examined, tiny_blobs)
    return Run("r", "churn", "ds_1", "a" * 64, 7, "logistic", {}, {}, None, Holdout("churn", 0.2), kept)


def test_what_a_run_kept_is_found_by_its_digest(examined: Examination, run: Run, tiny_blobs: BlobDirectory) -> None:
    found = examination(run, tiny_blobs)
    assert found is not None
    assert encode(found) == encode(examined)


def test_a_run_that_kept_none_has_none(run: Run, tiny_blobs: BlobDirectory) -> None:
    assert examination(dataclasses.replace(run, examination=None), tiny_blobs) is None


def test_one_that_was_changed_is_refused(run: Run, tiny_blobs: BlobDirectory) -> None:
    (name,) = tiny_blobs.names("examinations/churn/")
    tiny_blobs.put(name, tiny_blobs.get(name).replace(b"0.8", b"0.9"))
    with pytest.raises(Refused, match="it was changed after the run wrote it"):
        examination(run, tiny_blobs)


def test_one_that_is_gone_is_told(run: Run, tiny_blobs: BlobDirectory) -> None:
    with pytest.raises(NotFound, match="there is no blob examinations/churn/0000"):
        examination(dataclasses.replace(run, examination="0" * 64), tiny_blobs)
