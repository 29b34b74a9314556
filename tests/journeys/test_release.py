"""The whole spine, on real data, real training, a real ledger and a real MLflow store."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.data.freeze import open_dataset
from mainstay.errors import Misconfigured, Refused, Unavailable
from mainstay.journeys import progress
from mainstay.journeys import release as journey
from mainstay.journeys.asked import Asked
from mainstay.journeys.train import train
from mainstay.ledger.kinds import CANDIDATES, DATASETS, FEATURE_SERVICES, LOOKS, RUNS, SPLITS, VERDICTS, VERSIONS
from mainstay.nouns import Split
from mainstay.registry.loading import load
from mainstay.registry.shelf import champion, versions
from mainstay.scoring.scorer import Scorer
from mainstay.usecase import UseCase
from mainstay.usecase_file import CHURN, loads
from mainstay.verdicts import Outcome
from mainstay.wiring import Platform, platform

pytestmark = pytest.mark.xdist_group("mlflow")  # importing MLflow takes seconds: once is enough
Rows = list[dict[str, str]]
Changed = Callable[[str, str], UseCase]
Release = Callable[..., progress.Release]
WriteRows = Callable[[Path, Rows], None]
Asks = Callable[[Platform], Asked]
First = tuple[Platform, progress.Release]


def split_of(home: Platform, use_case: str = "shop") -> Split:
    fact = home.ledger.latest(use_case, SPLITS, use_case)
    assert fact is not None
    return fact.body


def state(home: Platform) -> list[tuple[str, int]]:
    """Every fact of the shop, by kind and number."""
    return [(fact.kind, fact.number) for fact in home.ledger.since("shop")]


def with_mlflow_down(home: Platform) -> Platform:
    return platform(home.settings.model_copy(update={"mlflow": "http://127.0.0.1:1"}))


# What a first release leaves behind


def test_the_first_release_passes_and_is_1_0_0_and_live(first_release: First) -> None:
    home, far = first_release
    assert far.outcome is Outcome.PASS
    assert far.version is not None
    assert far.version.version == "1.0.0"
    assert far.candidate is not None
    assert far.version.candidate == far.candidate.id
    live = split_of(home)
    assert live.champion == "1.0.0"
    assert [(arm.version, arm.share) for arm in live.arms] == [("1.0.0", 1.0)]
    assert far.candidate.cross_validated["roc_auc"].value > 0.85
    assert far.candidate.holdout["roc_auc"].rows + far.candidate.cross_validated["roc_auc"].rows == 800


def test_every_step_is_a_fact_that_says_who_and_why(first_release: First) -> None:
    home, far = first_release
    facts = home.ledger.since("shop")
    assert [fact.kind for fact in facts] == [
        each.name for each in (DATASETS, RUNS, CANDIDATES, LOOKS, VERDICTS, VERSIONS, FEATURE_SERVICES, SPLITS)
    ]
    assert {(fact.actor, fact.reason) for fact in facts} == {("user:ada", "It was asked for.")}
    assert far.dataset is not None
    assert far.version is not None
    assert facts[0].subject == far.dataset.id
    assert facts[1].subject == far.run == far.version.run


def test_what_is_on_the_shelf_is_believed_and_scores_as_recorded(first_release: First) -> None:
    home, far = first_release
    manifest, bundle = load("shop", "1.0.0", home.blobs, home.trusted())
    Scorer(bundle).warm_up()
    assert far.dataset is not None
    assert manifest.dataset == far.dataset.id
    assert manifest.key_id == home.signer().key_id
    assert [each.name for each in manifest.inputs] == ["age", "spent", "plan", "region"]


def test_names_are_kept_as_pseudonyms_only(first_release: First, customers: Rows) -> None:
    home, far = first_release
    assert far.dataset is not None
    kept = open_dataset(far.dataset, home.blobs)["id"].to_pylist()
    assert not set(kept) & {row["id"] for row in customers}
    assert far.dataset.pseudonym_key == home.pseudonym_key()[0]


# The same again, and other rows, seeds and homes


def test_the_same_release_again_is_the_version_that_stands(
    released: Platform, shop: UseCase, release: Release, first_release: First, heard: list[Any]
) -> None:
    before, live = state(released), split_of(released)
    far = release(released, shop)
    assert far.outcome is Outcome.PASS
    assert far.version == first_release[1].version
    assert far.verdict == first_release[1].verdict
    assert split_of(released) == live
    # The run took place; no look was spent, no verdict given, no version numbered and no traffic moved.
    assert [kind for kind, _ in state(released)[len(before) :]] == ["run", "candidate"]
    assert "this is shop@1.0.0 already: nothing changes" in heard


def test_the_order_and_the_format_of_the_rows_change_no_id(
    released: Platform, shop: UseCase, release: Release, first_release: First, customers: Rows, write_rows: WriteRows
) -> None:
    shuffled = random.Random(3).sample(customers, len(customers))
    folder = released.settings.home.parent
    write_rows(folder / "shop.csv", shuffled)
    typed = {name: [row[name] or None for row in reversed(customers)] for name in reversed(customers[0])}
    table = pa.table(typed)
    age = pa.array([int(each) for each in typed["age"] if each is not None], pa.int16())
    pq.write_table(table.set_column(table.schema.get_field_index("age"), "age", age), folder / "shop.parquet")
    far = release(released, shop)
    again = release(released, shop.model_copy(update={"source": "shop.parquet"}))
    for made in (far, again):
        assert made.dataset == first_release[1].dataset
        assert made.candidate is not None
        assert first_release[1].candidate is not None
        assert made.candidate.id == first_release[1].candidate.id


def test_another_home_has_other_pseudonyms_and_the_same_candidate(
    home: Platform, shop: UseCase, release: Release, first_release: First
) -> None:
    far = release(home, shop)
    there = first_release[1]
    assert far.dataset is not None
    assert there.dataset is not None
    assert far.dataset.pseudonym_key != there.dataset.pseudonym_key
    assert far.dataset.id != there.dataset.id
    assert far.candidate is not None
    assert there.candidate is not None
    assert far.candidate.id == there.candidate.id


def test_another_seed_is_another_version_and_the_champion_before_stands_by(
    released: Platform, shop_but: Changed, release: Release, first_release: First
) -> None:
    far = release(released, shop_but("seed: 7", "seed: 8"))
    assert far.candidate is not None
    assert first_release[1].candidate is not None
    assert far.candidate.id != first_release[1].candidate.id
    assert far.outcome is Outcome.PASS
    assert far.version is not None
    assert far.version.version in ("1.0.1", "1.1.0")
    arms = {arm.version: arm for arm in split_of(released).arms}
    assert arms[far.version.version].share == 1.0
    assert arms["1.0.0"].standby
    manifest, _ = load("shop", far.version.version, released.blobs, released.trusted())
    assert manifest.against is not None
    assert manifest.against.champion == "1.0.0"
    assert far.verdict is not None
    assert "(look 2)" in next(made.reason for made in far.verdict.checks if made.name == "skill")


def test_changed_rows_are_a_later_dataset_and_another_candidate(
    released: Platform, shop: UseCase, release: Release, first_release: First, customers: Rows, write_rows: WriteRows
) -> None:
    there = first_release[1]
    write_rows(released.settings.home.parent / "shop.csv", customers[100:])
    far = release(released, shop)
    assert far.dataset is not None
    assert there.dataset is not None
    assert far.dataset.id != there.dataset.id
    assert far.dataset.parent == there.dataset.id
    assert far.candidate is not None
    assert there.candidate is not None
    assert far.candidate.id != there.candidate.id


def test_a_champion_that_was_tampered_with_does_not_keep_its_successor_away(
    released: Platform, shop_but: Changed, release: Release, heard: list[Any]
) -> None:
    released.blobs.put("versions/shop/1.0.0/model.onnx", b"another graph")
    far = release(released, shop_but("seed: 7", "seed: 8"))
    assert far.outcome is Outcome.PASS
    assert far.version is not None
    assert far.version.version == "1.1.0"
    assert any("shop@1.0.0, which is live, cannot be compared with" in str(each) for each in heard)


# Verdicts that are not PASS


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [("gates:\n", "gates:\n  floors: {accuracy: {at_least: 0.99}}\n", "accuracy"), ("gates:", "gates:", "")],
    ids=["a floor no model reaches", "a column that knows the answer"],
)
def test_what_fails_is_named_and_not_registered(
    old: str, new: str, named: str, home: Platform, shop_but: Changed, release: Release, customers: Rows,
    write_rows: WriteRows,
) -> None:  # fmt: skip
    use_case = shop_but(old, new)
    if not named:
        named = "closed_account"
        use_case = shop_but("    region:", "    closed_account: {type: category, values: [n, y]}\n    region:")
        leaking = [{**row, "closed_account": "y" if row["left"] == "Yes" else "n"} for row in customers]
        write_rows(home.settings.home.parent / "shop.csv", leaking)
    far = release(home, use_case)
    assert far.outcome is Outcome.FAIL
    assert far.stage == "gate"
    assert far.version is None
    assert far.verdict is not None
    failed = [made for made in far.verdict.checks if made.outcome is Outcome.FAIL]
    assert any(named in (made.name, made.subject) for made in failed)
    assert versions(home.ledger, "shop") == []
    assert champion(home.ledger, "shop") is None
    assert far.candidate is not None
    with pytest.raises(Refused, match="only what passed is registered"):
        journey.register(home, use_case, far.candidate.id, Asked("user:ada", "Yet.", Path()), lambda noun: None)


def test_labels_without_signal_are_not_released_and_the_verdict_says_how_many_rows_would_tell(
    home: Platform, shop: UseCase, release: Release, customers: Rows, write_rows: WriteRows
) -> None:
    dealt = random.Random(5)
    noise = [{**row, "left": dealt.choice(["No", "Yes"])} for row in customers]
    write_rows(home.settings.home.parent / "shop.csv", noise)
    far = release(home, shop)
    assert far.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)
    assert far.version is None
    assert far.verdict is not None
    skill = next(made for made in far.verdict.checks if made.name == "skill")
    assert skill.outcome is Outcome.FAIL or skill.rows_needed


def test_a_few_bad_rows_are_set_aside_and_too_many_end_the_release(
    home: Platform, shop: UseCase, release: Release, customers: Rows, write_rows: WriteRows, heard: list[Any]
) -> None:
    source = home.settings.home.parent / "shop.csv"
    bad = [{**row, "age": "old"} for row in customers[:3]]
    write_rows(source, [*bad, *customers[3:]])
    dataset = journey.ingest(home, shop, Asked("user:ada", "Look.", source.parent), progress.Release(), heard.append)
    assert dataset is not None
    assert (dataset.rows, dataset.quarantined) == (797, 3)
    assert any(str(each).startswith("3 rows are quarantined with their reasons, in quarantine/") for each in heard)
    before = state(home)
    write_rows(source, [{**row, "age": "old"} for row in customers])
    far = release(home, shop)
    assert (far.outcome, far.stage, far.dataset) == (Outcome.FAIL, "validate", None)
    assert state(home) == before


# The world


def test_without_mlflow_nothing_is_trained_or_registered(home: Platform, shop: UseCase, release: Release) -> None:
    far = progress.Release("shop")
    with pytest.raises(Unavailable, match="MLflow failed while starting a run"):
        release(with_mlflow_down(home), shop, far)
    assert (far.stage, far.outcome, far.verdict, far.run) == ("train", Outcome.INCONCLUSIVE, None, None)
    assert [kind for kind, _ in state(home)] == ["dataset"]
    assert release(home, shop).outcome is Outcome.PASS


def test_what_is_trained_is_gated_and_registered_without_mlflow(
    home: Platform, shop: UseCase, asked: Asks, heard: list[Any]
) -> None:
    far = progress.Release("shop")
    dataset = journey.ingest(home, shop, asked(home), far, heard.append)
    assert dataset is not None
    candidate = train(home, shop, dataset.id, asked(home), far, heard.append)
    assert candidate is not None
    down = with_mlflow_down(home)
    assert journey.gate(down, shop, candidate.id, asked(down)).outcome is Outcome.PASS
    version = journey.register(down, shop, candidate.id, asked(down), heard.append)
    assert version.version == "1.0.0"
    assert journey.roll_out(down, shop, version, asked(down), heard.append) is None
    assert split_of(home).champion == "1.0.0"
    assert any("MLflow's registry was not brought up to date" in str(each) for each in heard)


def test_an_address_that_can_never_work_is_told_before_anything_is_read(home: Platform, shop: UseCase) -> None:
    wrong = platform(home.settings.model_copy(update={"mlflow": "garbage"}))
    far = progress.Release("shop")
    asked = Asked("user:ada", "It was asked for.", home.settings.home.parent)
    with pytest.raises(Misconfigured, match="MLflow cannot be at garbage"):
        journey.release(wrong, shop, asked, far, lambda noun: None)
    assert far.stage == "read"
    assert state(home) == []


def test_a_key_that_cannot_sign_is_told_before_the_training(
    released: Platform, shop_but: Changed, release: Release
) -> None:
    (released.settings.keys / "signing.key").chmod(0o644)
    far, before = progress.Release("shop"), state(released)
    with pytest.raises(Refused, match="others may use this key"):
        release(released, shop_but("seed: 7", "seed: 8"), far)
    assert far.run is None
    assert state(released) == before


def test_a_source_that_cannot_be_read_leaves_an_empty_home(home: Platform, shop: UseCase, release: Release) -> None:
    (home.settings.home.parent / "shop.csv").write_bytes(b"")
    before = sorted(home.settings.home.rglob("*"))
    with pytest.raises(Refused, match="the file is empty"):
        release(home, shop)
    assert sorted(home.settings.home.rglob("*")) == before


# Step by step, and over time


def test_step_by_step_by_short_ids_is_the_same_candidate(
    home: Platform, shop: UseCase, asked: Asks, first_release: First, heard: list[Any]
) -> None:
    far = progress.Release("shop")
    dataset = journey.ingest(home, shop, asked(home), far, heard.append)
    assert dataset is not None
    candidate = train(home, shop, dataset.id[:9], asked(home), far, heard.append)
    assert candidate is not None
    assert first_release[1].candidate is not None
    assert candidate.id == first_release[1].candidate.id
    with pytest.raises(Refused, match="it was not judged yet; `mainstay gate` judges it"):
        journey.register(home, shop, candidate.id, asked(home), heard.append)
    assert journey.gate(home, shop, candidate.id[:9], asked(home)).outcome is Outcome.PASS
    version = journey.register(home, shop, candidate.id[:9], asked(home), heard.append)
    assert (version.version, version.candidate) == ("1.0.0", candidate.id)


def test_rows_that_are_not_ripe_stay_out_of_training_and_holdout(
    home: Platform, release: Release, heard: list[Any]
) -> None:
    text = CHURN.read_text().replace("customers=20000&seed=7", "customers=3000&seed=1")
    text = text.replace("splines, random_forest, gradient_boosting, lightgbm, xgboost, ensemble", "lightgbm")
    churn = loads(text.replace("trials: 30, folds: 5", "trials: 2, folds: 2"))
    assert churn.recipe.trials == 2
    far = release(home, churn)
    assert far.outcome is Outcome.PASS
    assert far.dataset is not None
    assert far.dataset.rows == 3000
    assert far.dataset.holdout.cut is not None
    assert far.dataset.watermark is not None
    assert far.dataset.holdout.cut < far.dataset.watermark - churn.label.horizon
    assert any(str(each).startswith("left out: ") and "rows are not ripe" in str(each) for each in heard)
    assert far.candidate is not None
    scored = far.candidate.holdout["roc_auc"].rows + far.candidate.cross_validated["roc_auc"].rows
    assert scored < 3000
    assert far.candidate.holdout["roc_auc"].value > 0.8


# A release, and the rollout that it starts

CANARY = "gates:\n"
WITH_PLAN = "plan: {kind: canary, expected_traffic: 2000/day}\ngates:\n"


def test_with_a_plan_a_later_version_starts_a_rollout_and_the_next_one_waits_its_turn(
    released: Platform, shop_but: Changed, release: Release, heard: list[Any]
) -> None:
    planned = shop_but(CANARY, WITH_PLAN)
    far = release(released, planned.model_copy(update={"recipe": planned.recipe.model_copy(update={"seed": 8})}))
    assert far.version is not None
    assert far.rollout is not None
    assert (far.rollout.challenger, far.rollout.champion, far.stage) == (far.version.version, "1.0.0", "done")
    split = split_of(released)
    assert (split.champion, split.rollout) == ("1.0.0", far.rollout.id)
    assert [(arm.version, arm.standby) for arm in split.arms] == [("1.0.0", False), (far.version.version, True)]
    next_one = release(released, planned.model_copy(update={"recipe": planned.recipe.model_copy(update={"seed": 9})}))
    assert next_one.version is not None
    assert (next_one.rollout, next_one.stage, next_one.outcome) == (None, "rollout", Outcome.PASS)
    assert split_of(released) == split
    assert any("waits its turn" in str(each) for each in heard)
    again = release(released, planned.model_copy(update={"recipe": planned.recipe.model_copy(update={"seed": 8})}))
    assert again.rollout == far.rollout
    assert split_of(released) == split


def test_a_plan_that_cannot_keep_its_promise_is_refused_before_anything_is_trained(
    released: Platform, shop_but: Changed, release: Release
) -> None:
    hasty = shop_but(CANARY, "plan: {kind: ab, expected_traffic: 2000/day, deadline: 10d}\ngates:\n")
    far, before = progress.Release("shop"), state(released)
    with pytest.raises(Refused, match="deadline"):
        release(released, hasty, far)
    assert far.run is None
    assert [kind for kind, _ in state(released)[len(before) :]] in ([], ["dataset"])
