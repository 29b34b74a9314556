"""What a team writes in `mainstay.yaml`, and what is refused, by line and place."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.errors import NotFound, Refused
from mainstay.usecase import UseCase
from mainstay.usecase_file import CHURN, find, json_schema, load, loads

TEXT = CHURN.read_text()


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1, f"the shipped file has no {old!r}"
    return TEXT.replace(old, new, 1)


def test_the_shipped_use_case_says_what_the_reference_says() -> None:
    churn = load(CHURN)
    assert churn.name == "churn"
    assert churn.classes == ("No", "Yes")
    assert churn.label.horizon == timedelta(days=30)
    assert len(churn.inputs) == 19
    assert "customerID" not in churn.inputs
    assert "Churn" not in churn.inputs
    assert churn.derived.keys() == {"extra_paid", "months_or_one"}
    assert churn.salt == "churn"
    assert churn.feature_service == "churn_v1"


def test_the_least_use_case_is_a_label_a_column_and_a_source() -> None:
    least = loads("""
schema: 1
name: tiny
source: rows.csv
label: {column: y, positive: 1}
contract:
  columns:
    x: {type: number}
    y: {type: category, values: [0, 1]}
""")
    assert least.classes == ("0", "1")
    assert least.gates.skill.at_least == 0.1
    assert least.recipe.trials == 30
    assert least.plan is None


def test_unquoted_yes_and_no_are_words_as_people_expect() -> None:
    assert loads(changed('positive: "Yes"', "positive: Yes")).label.positive == "Yes"


def test_categories_are_spelt_in_one_way() -> None:
    spelt = loads(changed('positive: "Yes"', 'positive: " Yes "'))
    assert spelt.classes == ("No", "Yes")
    cafe = loads(changed("values: [Female, Male]", 'values: ["cafe\u0301 ", Male]'))
    assert cafe.contract.columns["gender"].values == ("caf\u00e9", "Male")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("recipe:", "recpe:", "mainstay.yaml:45 recpe: unknown key `recpe`; did you mean `recipe`?"),
        ("trials: 30", "trails: 30", "recipe.trails: unknown key `trails`; did you mean `trials`?"),
        ("range: [0, 120]", "range: [120, 0]", "contract.columns.tenure: range [120, 0] is upside down"),
        ("type: integer, range", "type: category, range", "contract.columns.tenure: a category column has no range"),
        ("horizon: 30d", "horizon: 30 days", "label.horizon: '30 days' is not a span"),
        ("entity: customerID", "entity: customerid", "column `customerid` is not in the contract; did you mean"),
        ("TotalCharges - tenure *", "TotalCharge - tenure *", "there is no column `TotalCharge`; did you mean"),
        ("max(tenure, 1)", "max(Contract, 1)", "`Contract` is a category"),
        ("months_or_one:", "tenure:", "a column of that name is in the contract already"),
        ("trials: 30", "trials: 0", "recipe.trials: input should be greater than or equal to 1, not 0"),
        ("trials: 30", "trials: 5", "recipe: trials 5 is less than the 6 estimators: each needs one"),
        ("objective", "class_weight: balanced, resample: over, objective", "recipe: class_weight and resample both"),
        ("objective", "grid: {lightgbm: {max_depth: [2]}}, objective", "recipe: a grid is for `search: grid`, not"),
        ("objective", "search: hyperband, objective", "recipe.search: input should be 'tpe', 'random' or 'grid'"),
        ("logistic, splines, random_forest, gradient_boosting, lightgbm,", "", "an ensemble votes among at least two"),
        ("folds: 5", "folds: many", "recipe.folds: input should be a valid integer"),
        ("{share: 1, hold", "{share: 0.9, hold", "plan: the last step must have share 1, not 0.9"),
        ("share: 0.05", "share: 0.9", "plan: the shares of the steps must not fall"),
        ('positive: "Yes"', 'positive: "Yep"', "label.positive: `Yep` is not a class"),
        ('positive: "Yes"', "positive: unknown", "label.positive: `unknown` is not a class"),
        ("values: [Female, Male]", 'values: [Female, " "]', "a blank is a missing value, not a category"),
        ("values: [Female, Male]", 'values: [Female, " Female"]', "contract.columns.gender: a value is listed twice"),
        ("trials: 30", "trials: 1", "recipe: trials 1 is less than the 6 estimators: each needs one"),
        ('absent_means: "No"', 'absent_means: "Nay"', "label.absent_means: `Nay` is not a class"),
        ("name: churn\n", "name: churn\nname: again\n", "mainstay.yaml:5: `name` is given twice"),
        ("name: churn\n", "", "`name` is missing"),
        ("schema: 1", "schema: 2", "mainstay.yaml:3 schema: input should be 1, not 2"),
        ("protected: [gender", "protected: [gendre", "column `gendre` is not in the contract; did you mean `gender`?"),
        ("page_budget: 1/year", "page_budget: often", "monitors.page_budget: 'often' is not a rate"),
        ("skill: {at_least: 0.1}", "skill: {blocking: true}", "gates.skill: a gate needs at_least or at_most"),
        ("margins: {errors: 0.005", "margins: {errors: 0", "plan.margins.errors: input should be greater than 0"),
        ("values: [Female, Male]", "values: [Female, Female]", "contract.columns.gender: a value is listed twice"),
        ("monitors:", "monitors: [", "not YAML"),
        ("skill: {at_least: 0.1}", "skill: {at_least: .nan}", "gates.skill.at_least: input should be a finite number"),
        ("value_saved: 400", "value_saved: .inf", "profit.value_saved: input should be a finite number"),
        ("deadline: 14d", "deadline: 7d", "plan: the deadline must come after all the holds of the steps"),
        ("deadline: 14d", "deadline: 99999999999d", "is longer than 36500 days"),
        ("kind: canary", "kind: shadow", "plan.steps.0.share: in a shadow plan one arm answers everything"),
        ("kind: canary", "kind: kill_switch", "plan.steps: a kill switch takes the challenger out at once"),
        ("kind: canary", "kind: immediate", "plan.steps: an immediate plan has one step, of share 1"),
        ("kind: canary", "kind: canaries", "plan.kind: input should be 'rolling', 'blue_green', 'canary'"),
        ("kind: canary", "kind: canary\n  floor: 0.1", "plan.floor: only a bandit moves its shares"),
        ("kind: canary", "kind: bandit\n  floor: 0.5", "plan.floor: input should be less than 0.5, not 0.5"),
        ("kind: canary", 'kind: canary\n  reason: ""', "plan.reason: string should have at least 1 character"),
        ("hold: 1d, at_least", "hold: 1d, deadline: 1d, at_least", "a step's deadline comes after its hold"),
        ("{share: 1, hold: 1d}", "{share: 1, hold: 1d, needs: better}", "plan.steps.2.needs: at share 1 it was chosen"),
        (
            "hold: 1d, at_least",
            "hold: 1d, needs: luck, at_least",
            "plan.steps.0.needs: input should be 'no_harm', 'non",
        ),
        ("errors: x2", "errors: x1", "plan.notice.errors: harm is a ratio above 1, as in x2, not x1"),
        ("log_loss: 0.01}", "log_loss: 0.01, shift: 0}", "plan.margins.shift: input should be greater than 0, not 0"),
        ("    observed_at: {", "    __held_out__: {", "names between double underscores are kept"),
        ('values: ["No", "Yes"], nullable', "nullable", "a label has exactly two classes"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_line_and_place(old: str, new: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        loads(changed(old, new))
    assert said in str(refused.value)
    assert "mainstay.yaml" in refused.value.place


@pytest.mark.parametrize("text", ["", "- a list", "just words", "\t", "a: *unknown", "!!python/object:os.system {}"])
def test_what_is_no_use_case_at_all_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        loads(text)


VIEW = """
  views:
    - name: usage
      source: usage.parquet
      event_time: measured
      known_at: loaded
      ttl: 30d
      columns: {calls: {type: number}, note: {type: identifier}, measured: {type: timestamp, format: "%d.%m.%Y"}}
"""


def with_view(old: str = "", new: str = "") -> str:
    text = CHURN.read_text().replace("  service: churn_v1\n", f"  service: churn_v1{VIEW}")
    assert old in text
    return text.replace(old, new, 1) if old else text


def test_a_view_adds_its_features_to_the_inputs_each_of_which_may_be_missing() -> None:
    with_one, without = loads(with_view()), load(CHURN)
    assert [name for name in with_one.inputs if name not in without.inputs] == ["calls"]
    assert with_one.inputs["calls"].nullable
    assert with_one.recipe_digest != without.recipe_digest
    assert with_one.contract_digest == without.contract_digest
    assert loads(with_view("ttl: 30d", "ttl: 30d\n      owner: ada")).recipe_digest == with_one.recipe_digest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: usage", "name: churn", "features.views.0.name: `churn` is taken"),
        ("calls: {type", "tenure: {type", "features.views.0.columns.tenure: `tenure` is in the contract already"),
        ("calls: {type: number}, ", "", "features.views.0.columns: none of them can be predicted from"),
        ("calls: {type", "customerID: {type", "features.views.0.columns: `customerID` is the entity"),
        (
            "known_at: loaded",
            "known_at: calls",
            "views.0.columns.calls: must be a timestamp, not of type number",
        ),
        ("entity: customerID", "", "a view is looked up by entity and time; the use case has no `entity`"),
        ("event_time: {column: observed_at, optional: true} ", "#", "the use case has no `event_time`"),
        ("extra_paid:", "calls:", "features.derived.calls: a column of that name"),
    ],
)
def test_a_view_that_cannot_be_looked_up_or_told_apart_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        loads(with_view(old, new))
    assert said in str(refused.value)


def test_every_kind_of_unreadable_file_has_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="mainstay init"):
        load(tmp_path / "absent.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: é".encode("latin-1"))
    with pytest.raises(Refused, match="not UTF-8 at byte 6"):
        load(latin)
    with pytest.raises(Refused, match="cannot be read"):
        load(tmp_path)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 1_000_001)
    with pytest.raises(Refused, match="larger than"):
        load(large)


def test_the_file_given_comes_before_the_local_one_and_that_before_churn(tmp_path: Path) -> None:
    assert find(None, tmp_path) == CHURN
    (tmp_path / "mainstay.yaml").write_text(TEXT)
    assert find(None, tmp_path) == tmp_path / "mainstay.yaml"
    assert find(CHURN, tmp_path) == CHURN


def test_the_json_schema_knows_every_key_by_the_name_it_has_in_the_file() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert {"schema", "name", "source", "label", "contract", "recipe", "plan"} <= schema["properties"].keys()
    assert set(schema["required"]) == {"name", "source", "label", "contract"}
    json.dumps(schema, allow_nan=False)


def test_configuration_is_what_is_live_apart_from_the_model() -> None:
    churn = load(CHURN)
    assert churn.configuration.keys() == {"serving", "monitors", "plan", "label", "profit"}
    other = churn.model_copy(update={"recipe": churn.recipe.model_copy(update={"trials": 3})})
    assert other.configuration == churn.configuration
    assert other.recipe_digest != churn.recipe_digest
    assert other.contract_digest == churn.contract_digest


def test_a_use_case_cannot_be_changed() -> None:
    churn: UseCase = load(CHURN)
    with pytest.raises(ValueError, match="frozen"):
        churn.name = "other"  # type: ignore[misc]  # what the test is about


def test_a_margin_of_profit_needs_to_know_what_a_decision_is_worth() -> None:
    assert loads(changed("log_loss: 0.01}", "log_loss: 0.01, profit: 0.5}")).plan is not None
    worthless = changed("profit: {offer_cost: 20, value_saved: 400, save_rate: 0.3}\n", "")
    with pytest.raises(Refused, match="nobody knows what a decision is worth"):
        loads(worthless.replace("log_loss: 0.01}", "log_loss: 0.01, profit: 0.5}"))


def test_a_test_of_two_arms_needs_both_to_answer() -> None:
    text = CHURN.read_text()
    start, end = text.index("  steps:"), text.index("  deadline:")
    alone = text[:start] + "  steps: [{share: 0, hold: 1d}, {share: 1, hold: 1d}]\n" + text[end:]
    for kind in ("ab", "bandit"):
        with pytest.raises(Refused, match=f"a plan of kind {kind} needs a step with a share between 0 and 1"):
            loads(alone.replace("kind: canary", f"kind: {kind}"))
    assert loads(alone.replace("kind: canary", "kind: shadow")).plan is not None
