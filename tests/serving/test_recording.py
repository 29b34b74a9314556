"""What the records of an answer say, field by field where it is easily wrong."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mainstay.nouns import Arm
from mainstay.observed import Ending, Origin, Role
from mainstay.scoring.scorer import Scored, Scorer
from mainstay.serving.answering import Answering
from mainstay.serving.arms import Arms
from mainstay.serving.ids import Ids
from mainstay.serving.recording import SAMPLED

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World, Written


@dataclass
class Moody:
    """A scorer that makes no number of those who are 120."""

    scorer: Scorer

    @property
    def bundle(self) -> Any:
        return self.scorer.bundle

    def score(self, columns: Any) -> Scored:
        return self.score_tensor(self.scorer.score(columns).tensor)

    def score_tensor(self, tensor: Any) -> Scored:
        made = self.scorer.score_tensor(tensor)
        return Scored(made.tensor, made.scores, np.where(tensor[:, 0] == 120, np.nan, made.probability))


@pytest.fixture
def moody(world: "World", arms: Arms) -> str:
    """A split whose challenger answers everything and is moody; the incumbent listens."""
    world.goes_live(Arm("1.0.0", listens=True), Arm("1.1.0", 1.0))
    arms.refresh(1.0)
    assert arms.live is not None
    made = arms.live.rows["1.1.0"]
    made.scorer = Moody(made.scorer)  # type: ignore[assignment]
    return "1.1.0"


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_row_that_a_challenger_makes_no_number_of_is_its_only_failure(
    client: "Client", written: "Written", answering: Answering, row: dict[str, Any], moody: str, kind: str
) -> None:
    ages = (40, 120, 50)
    if kind == "json":
        told = client.post("/predict_batch", json={"rows": [{"features": row | {"age": age}} for age in ages]})
        assert [each["version"] for each in told.json()["predictions"]] == [moody, "1.0.0", moody]
    else:
        body = "age,spent,plan\n" + "".join(f"{age},{row['spent']},{row['plan']}\n" for age in ages)
        told = client.post("/predict_batch", content=body, headers={"content-type": "text/csv"})
        assert (told.status_code, told.text.count(moody), told.text.count("1.0.0")) == (200, 2, 1)
    assert answering.listeners.close(5)
    found = Counter((each.prediction_id[-2:], each.role, each.version, each.outcome) for each in written.observed())
    assert found == {
        (".0", Role.ANSWERED, moody, Ending.OK): 1,
        (".1", Role.ATTEMPTED, moody, Ending.NOT_FINITE): 1,
        (".1", Role.ANSWERED, "1.0.0", Ending.OK): 1,
        (".2", Role.ANSWERED, moody, Ending.OK): 1,
        (".0", Role.LISTENED, "1.0.0", Ending.OK): 1,
        (".2", Role.LISTENED, "1.0.0", Ending.OK): 1,
    }


def test_a_row_that_nobody_makes_a_number_of_is_not_answered_in_the_log_either(
    client: "Client", written: "Written", row: dict[str, Any], arms: Arms
) -> None:
    assert arms.live is not None
    made = arms.live.rows["1.0.0"]
    made.scorer = Moody(made.scorer)  # type: ignore[assignment]
    rows = [{"features": row | {"age": age}} for age in (40, 120)]
    told = client.post("/predict_batch", json={"rows": rows}).json()["predictions"]
    assert [each.get("status") for each in told] == [None, 500]
    ended = [(each.prediction_id[-2:], each.role, each.outcome) for each in written.observed()]
    assert sorted(ended) == [(".0", Role.ANSWERED, Ending.OK), (".1", Role.ATTEMPTED, Ending.NOT_FINITE)]


def test_a_feature_that_the_request_does_not_hold_is_missing_and_one_that_is_null_was_given(
    client: "Client", written: "Written", row: dict[str, Any]
) -> None:
    del row["spent"]
    for features in (row, row | {"spent": None}):
        assert client.post("/predict", json={"features": features}).status_code == 200
    client.post("/predict_batch", json={"rows": [{"features": row}, {"features": row | {"spent": 1.0}}]})
    client.post("/predict_batch", content="age,plan\n40,basic\n", headers={"content-type": "text/csv"})
    client.post("/predict_batch", content="age,plan,spent\n40,basic,\n", headers={"content-type": "text/csv"})
    assert [each.origins for each in written.observed()] == [{"spent": Origin.MISSING}, {}] * 3


def test_the_tensor_of_one_answer_in_256_is_kept(
    client: "Client", written: "Written", answering: Answering, row: dict[str, Any], arms: Arms
) -> None:
    while not answering.ids.prediction(answering.clock()).endswith("ff"):
        pass
    assert isinstance(answering.ids, Ids)
    for _ in range(2):
        client.post("/predict", json={"features": row})
    first, second = written.observed()
    assert first.prediction_id.endswith(SAMPLED)
    assert arms.live is not None
    rows = arms.live.rows["1.0.0"]
    assert first.tensor == rows.tensor(rows.reader.read(row).values)
    assert second.tensor is None
