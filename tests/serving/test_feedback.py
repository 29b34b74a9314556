"""Feedback over HTTP: what is taken is in the log, what is not is told with its place, and nothing is lost."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mainstay.adapters.stream import Spool
from mainstay.errors import MainstayError, Unavailable
from mainstay.ledger.facts import Ledger
from mainstay.ledger.feedback import note
from mainstay.logged import decode_header, observed
from mainstay.observed import HELD_BACK, Action, Counted, Feed, Label, Told
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms
from mainstay.serving.feedback import Feedback
from mainstay.serving.log import Log

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVERYBODY = Access(list, None, lambda: NOW, open_=True)
PAST = "2025-12-01T00:00:00Z"
MONTH = timedelta(days=30)


class Desk:
    """What takes feedback, over a real log and a real ledger, either of which a test may break."""

    def __init__(self, home: Path) -> None:
        self.spool = Spool(home / "segments")
        self.ledger = Ledger(f"sqlite:///{home}/ledger.db")
        self.log = Log(self.spool, "tiny", "host-a", lambda: NOW)
        self.broken: MainstayError | None = None
        self.asked = 0

    def feedback(self) -> Feedback:
        return Feedback(self.log, lambda digest: MONTH, self.note, lambda: NOW)

    def note(self, told: Sequence[Told], at: datetime) -> Counted:
        self.asked += 1
        if self.broken is not None:
            raise self.broken
        return note(self.ledger, "tiny", told, at)

    def logged(self) -> list[Any]:
        """All that is in the log, by kind of record in alphabetical order; the log is closed."""
        self.log.close()
        found = []
        for name in self.spool.sealed("tiny"):
            run = self.spool.read("tiny", name)
            header = decode_header(run.header or b"")
            found += [(header.kind, each) for payload in run.payloads for each in observed(header, payload)]
        return [record for _, record in sorted(found, key=lambda pair: pair[0])]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    with made.ledger:
        yield made


@pytest.fixture
def asks(client: "Client", arms: Arms, desk: Desk) -> "Client":
    """The client of an app that takes feedback."""
    client.app = create_app(arms, "tiny", Answering(desk.log, lambda: NOW), EVERYBODY, feedback=desk.feedback())
    return client


def taken(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_labels_actions_and_completeness_are_logged_as_they_were_told(asks: "Client", desk: Desk) -> None:
    body = {
        "labels": [
            {"prediction_id": "p1", "value": "Yes", "true_at": "2025-12-24T18:00:00+01:00"},
            {"entity": 17, "as_of": PAST, "value": "No", "source": "crm"},
        ],
        "actions": [{"prediction_id": "p1", "kind": "offer", "at": PAST, "probability": 0.5, "cost": 20}],
        "complete_through": PAST,
        "source": "warehouse",
    }
    counts = {"accepted": 4, "repeated": 0, "contradicted": 0, "rejected": 0, "errors": []}
    assert taken(asks.post("/feedback", json=body)) == counts
    past = datetime(2025, 12, 1, tzinfo=UTC)
    assert desk.logged() == [
        Action("offer", past, NOW, 0.5, 20.0, "warehouse", None, "p1"),
        Feed("warehouse", past, NOW),
        Label("Yes", NOW, "warehouse", MONTH, None, "p1", None, datetime(2025, 12, 24, 17, tzinfo=UTC)),
        Label("No", NOW, "crm", MONTH, "17", None, past, None),
    ]


def test_told_twice_is_repeated_and_told_otherwise_is_contradicted_and_both_are_kept(
    asks: "Client", desk: Desk
) -> None:
    for value, told in (("Yes", (0, 0)), ("Yes", (1, 0)), ("No", (0, 1))):
        answer = taken(asks.post("/feedback", json={"labels": [{"prediction_id": "p1", "value": value}]}))
        assert (answer["accepted"], answer["repeated"], answer["contradicted"]) == (1, *told)
    assert [each.value for each in desk.logged()] == ["Yes", "Yes", "No"]


GOOD = {"prediction_id": "p1", "value": "Yes"}
ACTED = {"entity": "c1", "kind": "offer", "at": PAST, "probability": 0.5}


@pytest.mark.parametrize(
    ("item", "field", "reason"),
    [
        ("text", "labels.1", "is not an object"),
        ({"value": "Yes"}, "labels.1.entity", "is missing"),
        (GOOD | {"entity": "c1"}, "labels.1.entity", "is given beside prediction_id"),
        ({"entity": "c1", "value": "Yes"}, "labels.1.as_of", "is missing"),
        (GOOD | {"as_of": PAST}, "labels.1.as_of", "is given beside a prediction_id"),
        ({"prediction_id": "p1"}, "labels.1.value", "is missing"),
        (GOOD | {"value": "Perhaps"}, "labels.1.value", "is no class"),
        (GOOD | {"value": True}, "labels.1.value", "is no class"),
        (GOOD | {"value": ["Yes"]}, "labels.1.value", "is no class"),
        (GOOD | {"true_at": "yesterday"}, "labels.1.true_at", "is no time"),
        (GOOD | {"true_at": "2025-12-01T00:00:00"}, "labels.1.true_at", "is no time"),
        (GOOD | {"true_at": "0001-01-01T00:00:00+14:00"}, "labels.1.true_at", "is no time"),
        (GOOD | {"true_at": 5}, "labels.1.true_at", "is no time"),
        (GOOD | {"true_at": "2026-01-01T00:02:00Z"}, "labels.1.true_at", "is in the future"),
        (GOOD | {"source": ""}, "labels.1.source", "is not a text"),
        (GOOD | {"vaule": "Yes"}, "labels.1.vaule", "unknown field"),
        ({"prediction_id": "a\nb", "value": "Yes"}, "labels.1.prediction_id", "is not a text"),
        ({"entity": True, "as_of": PAST, "value": "Yes"}, "labels.1.entity", "is not a text"),
    ],
)
def test_a_bad_label_is_rejected_with_its_place_and_spoils_no_other(
    asks: "Client", desk: Desk, item: Any, field: str, reason: str
) -> None:
    answer = taken(asks.post("/feedback", json={"labels": [GOOD, item]}))
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert (answer["errors"][0]["field"], answer["errors"][0]["reason"]) == (field, reason)
    assert answer["errors"][0]["expected"]
    assert [each.value for each in desk.logged()] == ["Yes"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"probability": None}, "probability"),
        ({"probability": 1.5}, "probability"),
        ({"probability": True}, "probability"),
        ({"probability": 10**400}, "probability"),
        ({"cost": -1}, "cost"),
        ({"cost": "20"}, "cost"),
        ({"kind": None}, "kind"),
        ({"kind": "none", "probability": 1}, "probability"),
        ({"at": None}, "at"),
    ],
)
def test_a_bad_action_is_rejected_with_its_place(asks: "Client", changed: dict[str, Any], field: str) -> None:
    answer = taken(asks.post("/feedback", json={"actions": [ACTED | changed]}))
    assert (answer["accepted"], answer["rejected"]) == (0, 1)
    assert answer["errors"][0]["field"] == f"actions.0.{field}"


def test_who_was_held_back_by_chance_is_told_with_the_probability_of_acting(asks: "Client", desk: Desk) -> None:
    held = {"prediction_id": "p1", "kind": "none", "at": PAST, "probability": 0.8}
    assert taken(asks.post("/feedback", json={"actions": [held], "source": "crm"}))["accepted"] == 1
    past = datetime(2025, 12, 1, tzinfo=UTC)
    assert desk.logged() == [Action(HELD_BACK, past, NOW, 0.8, 0.0, "crm", None, "p1")]


def test_a_completeness_that_is_no_time_is_rejected(asks: "Client") -> None:
    answer = taken(asks.post("/feedback", json={"complete_through": "soon"}))
    assert (answer["accepted"], answer["rejected"], answer["errors"][0]["field"]) == (0, 1, "complete_through")


@pytest.mark.parametrize(
    "body", [[], {}, {"labels": None}, {"labels": {}}, {"actions": "x"}, {"labels": [], "more": 1}, {"source": "crm"}]
)
def test_what_is_no_feedback_is_told_so(asks: "Client", body: Any) -> None:
    answer = asks.post("/feedback", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_too_many_labels_are_too_many(asks: "Client") -> None:
    answer = asks.post("/feedback", json={"labels": [GOOD] * 10_001})
    assert (answer.status_code, answer.json()["detail"].split(";")[0]) == (413, "there are 10,001 labels")


def test_many_bad_labels_are_all_counted_and_some_are_shown(asks: "Client") -> None:
    answer = taken(asks.post("/feedback", json={"labels": [{}] * 500}))
    assert (answer["rejected"], len(answer["errors"])) == (500, 100)


def test_with_a_dead_ledger_nothing_is_lost_and_nothing_is_counted(asks: "Client", desk: Desk) -> None:
    desk.broken = Unavailable("the ledger cannot be used")
    for _ in range(3):
        answer = taken(asks.post("/feedback", json={"labels": [GOOD]}))
        assert (answer["accepted"], answer["repeated"], answer["contradicted"]) == (1, None, None)
    assert desk.asked == 1, "nobody waits for a ledger that was dead a moment ago"
    assert len(desk.logged()) == 3


def test_with_a_log_that_cannot_be_written_nothing_is_taken(
    client: "Client", arms: Arms, desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    broken = Log(Spool(tmp_path / "file"), "tiny", "host-a", lambda: NOW)
    feedback = Feedback(broken, lambda digest: MONTH, desk.note, lambda: NOW)
    client.app = create_app(arms, "tiny", Answering(desk.log, lambda: NOW), EVERYBODY, feedback=feedback)
    answer = client.post("/feedback", json={"labels": [GOOD]})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert str(tmp_path) not in answer.text
    assert desk.asked == 0


def test_without_the_configuration_labels_wait(client: "Client", arms: Arms, desk: Desk) -> None:
    def horizon(digest: str) -> timedelta:
        raise Unavailable("the store is down", "/secret/place")

    client.app = create_app(
        arms,
        "tiny",
        Answering(desk.log, lambda: NOW),
        EVERYBODY,
        feedback=Feedback(desk.log, horizon, desk.note, lambda: NOW),
    )
    answer = client.post("/feedback", json={"labels": [GOOD]})
    assert answer.status_code == 503
    assert "secret" not in answer.text
    assert desk.logged() == []


def test_before_anything_is_live_feedback_waits(client: "Client", world: "World", desk: Desk) -> None:
    client.app = create_app(world.arms(), "tiny", Answering(desk.log, lambda: NOW), EVERYBODY, feedback=desk.feedback())
    assert client.post("/feedback", json={"labels": [GOOD]}).status_code == 503


def test_an_entity_is_logged_as_the_pseudonym_that_predictions_carry(client: "Client", arms: Arms, desk: Desk) -> None:
    live = arms.live
    assert live is not None
    hide: Callable[[Any], str | None] = lambda given: f"hidden-{given}"  # noqa: E731
    object.__setattr__(live, "stored", hide)
    client.app = create_app(arms, "tiny", Answering(desk.log, lambda: NOW), EVERYBODY, feedback=desk.feedback())
    taken(client.post("/feedback", json={"labels": [{"entity": "ada", "as_of": PAST, "value": "Yes"}]}))
    assert [each.entity for each in desk.logged()] == ["hidden-ada"]


def test_an_entity_that_is_not_kept_cannot_be_told_about(client: "Client", arms: Arms, desk: Desk) -> None:
    live = arms.live
    assert live is not None
    object.__setattr__(live, "stored", lambda given: None)
    client.app = create_app(arms, "tiny", Answering(desk.log, lambda: NOW), EVERYBODY, feedback=desk.feedback())
    answer = taken(client.post("/feedback", json={"labels": [{"entity": "ada", "as_of": PAST, "value": "Yes"}]}))
    assert answer["errors"][0]["reason"] == "is not kept by this use case"


def test_with_group_fsync_feedback_is_on_the_disk_before_the_answer(client: "Client", arms: Arms, desk: Desk) -> None:
    desk.log = Log(desk.spool, "tiny", "host-a", lambda: NOW, "group")
    desk.log.start()
    client.app = create_app(arms, "tiny", Answering(desk.log, lambda: NOW), EVERYBODY, feedback=desk.feedback())
    assert taken(client.post("/feedback", json={"labels": [GOOD]}))["accepted"] == 1
    assert len(desk.logged()) == 1


def test_the_route_is_described(asks: "Client") -> None:
    document = asks.get("/openapi.json").json()
    operation = document["paths"]["/feedback"]["post"]
    assert set(operation["responses"]) >= {"202", "422", "503"}
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"labels", "actions", "complete_through", "source"}


def test_nobody_is_complete_whose_labels_were_turned_away(asks: "Client") -> None:
    """Silence about the one that was rejected would be read as its opposite."""
    labels = [{"prediction_id": "p1", "value": "Yes"}, {"prediction_id": "p2", "value": "Ja"}]
    answer = taken(asks.post("/feedback", json={"labels": labels, "complete_through": PAST}))
    assert (answer["accepted"], answer["rejected"]) == (1, 2)
    assert [each["field"] for each in answer["errors"]] == ["labels.1.value", "complete_through"]
