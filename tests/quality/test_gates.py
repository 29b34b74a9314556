"""What lets a candidate through, and what stops it."""

import dataclasses
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.measures.money import Offer
from mainstay.measures.rates import exact
from mainstay.measures.scores import scorecard
from mainstay.nouns import Candidate, Estimate, Holdout, Look, StoredFile
from mainstay.quality.gates import judge, look
from mainstay.scoring.frame import Frame
from mainstay.usecase import Profit, UseCase
from mainstay.usecase_gates import Gate, Gates, Leakage
from mainstay.verdicts import Check, Need, Outcome, Verdict

ROWS = 1500
FEATURES = ("age", "spent", "plan")
HOLDOUT = Holdout("tiny", 0.2)
OFFER = Offer(5, 100, 0.3)


def rows_and_truth(seed: int = 3, n: int = ROWS) -> tuple[Frame, NDArray[np.float64]]:
    """A holdout, and the true probability of each of its rows: no model does better."""
    random = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-random.normal(-1.2, 1.8, n)))
    labels = random.random(n) < truth
    plan = np.where(random.random(n) < 0.5, "basic", "plus").astype(object)
    columns: dict[str, NDArray[Any]] = {"age": random.integers(18, 90, n).astype(float), "spent": truth, "plan": plan}
    none = np.zeros(n, dtype=np.bool_)
    return Frame(columns, labels, np.arange(n), ~none, {"plan": plan}), truth


FRAME, TRUTH = rows_and_truth()
EVIDENCE: Mapping[str, Estimate] = {
    "permuted_auc": Estimate(0.50, 0.47, 0.53, ROWS),
    "copied_rows": Estimate(0.005, -0.002, 0.012, ROWS),
    "parity": exact(2e-7, ROWS),
    "single_feature_auc:age": Estimate(0.61, 0.58, 0.64, 6000),
    "single_feature_auc:spent": Estimate(0.72, 0.70, 0.74, 6000),
    "single_feature_auc:plan": Estimate(0.51, 0.48, 0.54, 6000),
    "pure_bins:age": Estimate(0.0, 0.0, 0.01, 400),
    "pure_bins:spent": Estimate(0.0, 0.0, 0.01, 400),
    "pure_bins:plan": Estimate(0.0, 0.0, 0.01, 400),
}
CANDIDATE = Candidate(
    id="cd_" + "a" * 64,
    use_case="tiny",
    run="run-1",
    dataset="ds_1",
    files={"model.onnx": StoredFile("b" * 64, 40_000), "encoder.json": StoredFile("c" * 64, 2_000)},
    classes=("No", "Yes"),
    cross_validated={},
    holdout=scorecard(FRAME.labels, TRUTH, 0.5, OFFER),
    evidence=EVIDENCE,
)


def judged(
    use_case: UseCase,
    candidate: Candidate = CANDIDATE,
    probability: NDArray[np.float64] = TRUTH,
    holdout: Frame = FRAME,
    taken: Look | None = None,
) -> Verdict:
    return judge(candidate, holdout, probability, 0.5, use_case, taken)


def only(verdict: Verdict, name: str, subject: str = "") -> Check:
    (found,) = [made for made in verdict.checks if made.name == name and (not subject or made.subject == subject)]
    return found


def gated(use_case: UseCase, **gates: Any) -> UseCase:
    return use_case.model_copy(update={"gates": Gates(**gates)})


def showing(**evidence: Estimate | None) -> Candidate:
    """The candidate with other evidence; None takes it away."""
    changed = {**EVIDENCE, **{name.replace("__", ":"): found for name, found in evidence.items()}}
    return dataclasses.replace(CANDIDATE, evidence={name: each for name, each in changed.items() if each is not None})


def test_an_honest_candidate_passes(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.subject == CANDIDATE.id
    blocking = [made.name for made in verdict.checks if made.blocking]
    leakage = ["permuted_auc", "copied_rows", "single_feature_auc", "pure_bins", "model_auc"]
    assert blocking == ["skill", *leakage, "parity", "size", "claims"]
    assert [made.name for made in verdict.checks if made.needs is Need.QUIET] == leakage


def test_a_candidate_without_skill_fails(tiny_use_case: UseCase) -> None:
    guess = np.full(ROWS, float(FRAME.labels.mean()))
    verdict = judged(tiny_use_case, dataclasses.replace(CANDIDATE, holdout={}), guess)
    assert only(verdict, "skill").outcome is Outcome.FAIL
    assert verdict.outcome is Outcome.FAIL
    assert "skill is" in verdict.reason


def test_skill_must_be_reached_by_the_whole_interval(tiny_use_case: UseCase) -> None:
    found = CANDIDATE.holdout["skill"]
    assert found.low < 0.99 * found.value < found.value
    made = only(judged(gated(tiny_use_case, skill=Gate(at_least=0.99 * found.value))), "skill")
    assert made.outcome is Outcome.INCONCLUSIVE
    assert "too close to tell" in made.reason


def test_what_the_candidate_claims_is_not_what_it_is_judged_by(tiny_use_case: UseCase) -> None:
    boast = {**CANDIDATE.holdout, "roc_auc": Estimate(0.99, 0.98, 1.0, ROWS)}
    demanding = gated(tiny_use_case, floors={"roc_auc": Gate(at_least=0.95)})
    verdict = judged(demanding, dataclasses.replace(CANDIDATE, holdout=boast))
    assert only(verdict, "roc_auc").outcome is Outcome.FAIL
    assert only(verdict, "claims").outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "claimed",
    [{}, {"astrology": exact(1.0, ROWS)}, {"roc_auc": exact(math.nan, 0)}],
    ids=["nothing", "what nobody measures", "not a number"],
)
def test_claims_that_cannot_be_checked_block(tiny_use_case: UseCase, claimed: dict[str, Estimate]) -> None:
    verdict = judged(tiny_use_case, dataclasses.replace(CANDIDATE, holdout=claimed))
    assert only(verdict, "claims").outcome is Outcome.INCONCLUSIVE
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_number_that_neither_side_has_is_no_disagreement(tiny_use_case: UseCase) -> None:
    low = TRUTH * 0.4  # nobody is called positive, so there is no precision to speak of
    claimed = scorecard(FRAME.labels, low, 0.5, OFFER)
    assert math.isnan(claimed["precision"].value)
    verdict = judged(tiny_use_case, dataclasses.replace(CANDIDATE, holdout=claimed), low)
    assert only(verdict, "claims").outcome is Outcome.PASS


def test_every_floor_is_a_check(tiny_use_case: UseCase) -> None:
    floors = {
        "accuracy": Gate(at_least=0.7),
        "log_loss": Gate(at_most=0.6),
        "profit": Gate(at_least=1000.0),
        "recall_at_threshold": Gate(at_least=0.9, blocking=False),
    }
    verdict = judged(gated(tiny_use_case, floors=floors))
    outcomes = {name: only(verdict, name).outcome for name in floors}
    assert outcomes == {
        "accuracy": Outcome.PASS,
        "log_loss": Outcome.PASS,
        "profit": Outcome.FAIL,
        "recall_at_threshold": Outcome.FAIL,
    }
    assert not only(verdict, "recall_at_threshold").blocking


def test_a_floor_that_cannot_be_measured_blocks(tiny_use_case: UseCase) -> None:
    without_profit = gated(tiny_use_case, floors={"profit": Gate(at_least=1.0)}).model_copy(update={"profit": None})
    candidate = dataclasses.replace(CANDIDATE, holdout=scorecard(FRAME.labels, TRUTH, 0.5))
    verdict = judged(without_profit, candidate)
    assert only(verdict, "profit").reason.startswith("profit could not be measured; to pass: say under `profit` what ")
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_an_offer_that_nobody_prices_is_no_reason_to_stop(tiny_use_case: UseCase) -> None:
    other = tiny_use_case.model_copy(update={"profit": Profit(offer_cost=7, value_saved=80, save_rate=0.2)})
    claimed = scorecard(FRAME.labels, TRUTH, 0.5, Offer(7, 80, 0.2))
    assert judged(other, dataclasses.replace(CANDIDATE, holdout=claimed)).outcome is Outcome.PASS


def test_too_few_rows_block(tiny_use_case: UseCase) -> None:
    floors = {"recall": Gate(at_least=0.1, rows=5000)}
    verdict = judged(gated(tiny_use_case, floors=floors))
    assert "rows of the 5000 needed" in only(verdict, "recall").reason
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_probability_that_is_not_a_number_blocks(tiny_use_case: UseCase) -> None:
    broken = TRUTH.copy()
    broken[7] = math.nan
    verdict = judged(tiny_use_case, probability=broken)
    assert only(verdict, "skill").reason.startswith("skill is not a number; to pass: rows of both classes")
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_an_empty_holdout_blocks(tiny_use_case: UseCase) -> None:
    none = np.zeros(ROWS, dtype=np.bool_)
    verdict = judged(tiny_use_case, probability=TRUTH[none], holdout=FRAME.take(none))
    assert only(verdict, "skill").outcome is Outcome.INCONCLUSIVE
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_probabilities_of_other_rows_are_an_error(tiny_use_case: UseCase) -> None:
    with pytest.raises(ValueError, match="must both be"):
        judged(tiny_use_case, probability=TRUTH[1:])


def test_an_empty_list_of_checks_cannot_pass() -> None:
    assert Verdict("cd_1", ()).outcome is Outcome.INCONCLUSIVE


def test_advisory_gates_alone_cannot_pass(tiny_use_case: UseCase) -> None:
    def advisory(gate: Gate) -> Gate:
        return gate.model_copy(update={"blocking": False})

    plain = Gates()
    all_advisory = gated(
        tiny_use_case,
        skill=advisory(plain.skill),
        parity=advisory(plain.parity),
        size=advisory(plain.size),
        leakage=Leakage(**{name: advisory(getattr(plain.leakage, name)) for name in Leakage.model_fields}),
    )
    verdict = judged(all_advisory)
    assert all(made.met for made in verdict.checks if not made.subject and made.name != "calibration_error")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "nothing was checked"


@pytest.mark.parametrize("name", ["permuted_auc", "copied_rows", "parity"])
def test_missing_evidence_blocks(tiny_use_case: UseCase, name: str) -> None:
    verdict = judged(tiny_use_case, showing(**{name: None}))
    assert only(verdict, name).reason.startswith(f"{name} could not be measured; to pass: train again")
    assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("name", ["permuted_auc", "copied_rows", "parity", "single_feature_auc:age", "pure_bins:age"])
def test_evidence_that_is_not_a_number_blocks(tiny_use_case: UseCase, name: str) -> None:
    verdict = judged(tiny_use_case, showing(**{name.replace(":", "__"): exact(math.nan, ROWS)}))
    assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("permuted_auc", Estimate(0.7, 0.67, 0.73, ROWS)),
        ("copied_rows", Estimate(0.3, 0.28, 0.32, ROWS)),
        ("parity", exact(0.01, ROWS)),
    ],
)
def test_evidence_of_a_leak_or_of_another_model_fails(tiny_use_case: UseCase, name: str, found: Estimate) -> None:
    verdict = judged(tiny_use_case, showing(**{name: found}))
    assert only(verdict, name).outcome is Outcome.FAIL
    assert verdict.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("permuted_auc", Estimate(0.51, 0.44, 0.58, 240)),
        ("copied_rows", Estimate(0.01, -0.01, 0.03, 60)),
        ("single_feature_auc:age", Estimate(0.93, 0.85, 0.98, 60)),
        ("pure_bins:age", Estimate(0.0, 0.0, 0.16, 20)),
    ],
)
def test_few_rows_that_cannot_rule_a_leak_out_are_no_alarm(tiny_use_case: UseCase, name: str, found: Estimate) -> None:
    verdict = judged(tiny_use_case, showing(**{name.replace(":", "__"): found}))
    (made,) = [each for each in verdict.checks if each.estimate is found]
    assert (made.outcome, made.needs) == (Outcome.QUIET, Need.QUIET)
    assert f"no alarm, though {found.rows} rows cannot rule it out" in made.reason
    assert verdict.outcome is Outcome.PASS


def test_too_few_rows_for_the_gate_and_a_broken_interval_are_not_quiet(tiny_use_case: UseCase) -> None:
    strict = gated(tiny_use_case, leakage=Leakage(permuted_auc=Gate(at_most=0.55, rows=500)))
    short = showing(permuted_auc=Estimate(0.51, 0.44, 0.58, 240))
    assert only(judged(strict, short), "permuted_auc").outcome is Outcome.INCONCLUSIVE
    for broken in (Estimate(0.5, 0.6, 0.4, ROWS), Estimate(0.5, 0.4, math.inf, ROWS), Estimate(0.5, 0.4, 0.6, 0)):
        assert judged(tiny_use_case, showing(permuted_auc=broken)).outcome is Outcome.INCONCLUSIVE


def test_a_perfect_ranking_is_an_alarm_however_few_the_rows(tiny_use_case: UseCase) -> None:
    perfect = showing(single_feature_auc__spent=Estimate(1.0, 0.79, 1.0, 60))
    made = only(judged(tiny_use_case, perfect), "single_feature_auc", "spent")
    assert made.outcome is Outcome.FAIL
    assert "perfect on 60 rows" in made.reason
    lucky = showing(single_feature_auc__spent=Estimate(1.0, 0.3, 1.0, 12))
    assert only(judged(tiny_use_case, lucky), "single_feature_auc", "spent").outcome is Outcome.QUIET


def test_a_model_too_good_to_be_true_is_refused_unless_the_team_knows_why(tiny_use_case: UseCase) -> None:
    known = np.where(FRAME.labels, 0.9, 0.1) + 0.05 * TRUTH
    candidate = dataclasses.replace(CANDIDATE, holdout=scorecard(FRAME.labels, known, 0.5, OFFER))
    verdict = judged(tiny_use_case, candidate, known)
    made = only(verdict, "model_auc")
    assert (made.outcome, made.blocking) == (Outcome.FAIL, True)
    assert "raise the limit if you know why" in made.reason
    assert [each.name for each in verdict.checks if each.blocking and not each.met] == ["model_auc"]
    knowing = gated(tiny_use_case, leakage=Leakage(model_auc=Gate(at_most=1.0)))
    assert judged(knowing, candidate, known).outcome is Outcome.PASS


def test_a_feature_that_gives_leavers_away_is_named_and_no_value_of_it(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case, showing(pure_bins__plan=Estimate(0.15, 0.11, 0.2, 400)))
    assert verdict.outcome is Outcome.FAIL
    assert "pure_bins of plan is 0.15" in verdict.reason
    assert not any(plan in verdict.reason for plan in ("basic", "plus"))


def test_a_feature_that_predicts_too_well_is_named(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case, showing(single_feature_auc__spent=Estimate(0.99, 0.985, 0.995, 6000)))
    assert only(verdict, "single_feature_auc", "spent").outcome is Outcome.FAIL
    assert "single_feature_auc of spent is 0.99" in verdict.reason
    rest = only(verdict, "single_feature_auc", "age")
    assert rest.outcome is Outcome.PASS
    assert "highest of 2 features" in rest.reason


def test_features_that_pass_are_one_line_with_the_most_telling(tiny_use_case: UseCase) -> None:
    made = only(judged(tiny_use_case), "single_feature_auc")
    assert (made.subject, made.outcome) == ("spent", Outcome.PASS)
    assert made.reason.endswith("it is the highest of 3 features that pass")


def test_a_feature_without_evidence_blocks_by_name(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case, showing(single_feature_auc__plan=None))
    reason = only(verdict, "single_feature_auc", "plan").reason
    assert reason.startswith("single_feature_auc of plan could not be measured; to pass: train again")
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_derived_feature_without_evidence_blocks_by_name(tiny_use_case: UseCase) -> None:
    derived = tiny_use_case.features.model_copy(update={"derived": {"ratio": "spent / age"}})
    verdict = judged(tiny_use_case.model_copy(update={"features": derived}))
    assert only(verdict, "single_feature_auc", "ratio").outcome is Outcome.INCONCLUSIVE
    assert only(verdict, "pure_bins", "ratio").outcome is Outcome.INCONCLUSIVE
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_derived_features_are_judged_where_there_is_evidence(tiny_use_case: UseCase) -> None:
    verdict = judged(tiny_use_case, showing(single_feature_auc__ratio=Estimate(0.98, 0.97, 0.99, 6000)))
    assert only(verdict, "single_feature_auc", "ratio").outcome is Outcome.FAIL


def test_a_holdout_without_features_blocks(tiny_use_case: UseCase) -> None:
    bare = dataclasses.replace(CANDIDATE, evidence={})
    made = only(judged(tiny_use_case, bare, holdout=dataclasses.replace(FRAME, columns={})), "single_feature_auc")
    assert (made.outcome, made.blocking) == (Outcome.INCONCLUSIVE, True)


def test_a_bundle_that_is_too_large_or_has_no_files_does_not_pass(tiny_use_case: UseCase) -> None:
    assert only(judged(gated(tiny_use_case, size=Gate(at_most=41_999))), "size").outcome is Outcome.FAIL
    assert only(judged(gated(tiny_use_case, size=Gate(at_most=42_000))), "size").outcome is Outcome.PASS
    nothing = dataclasses.replace(CANDIDATE, files={})
    assert only(judged(tiny_use_case, nothing), "size").outcome is Outcome.INCONCLUSIVE


def test_unfairness_is_told_and_blocks_only_where_the_team_says_so(tiny_use_case: UseCase) -> None:
    unequal = np.where(FRAME.slices["plan"] == "basic", TRUTH, TRUTH / 4)
    candidate = dataclasses.replace(CANDIDATE, holdout=scorecard(FRAME.labels, unequal, 0.5, OFFER))
    lenient = gated(tiny_use_case, skill=Gate(at_least=-1.0))
    verdict = judged(lenient, candidate, unequal)
    made = only(verdict, "true_positive_gap", "plan")
    assert (made.outcome, made.blocking) == (Outcome.FAIL, False)
    assert verdict.outcome is Outcome.PASS
    strict = {"true_positive_gap": Gate(at_most=0.1)}
    assert (
        judged(gated(lenient, skill=Gate(at_least=-1.0), fairness=strict), candidate, unequal).outcome is Outcome.FAIL
    )


# Looks


def looks(candidates: str, holdout: Holdout = HOLDOUT) -> list[Look]:
    taken: list[Look] = []
    for candidate in candidates:
        taken.append(look(taken, candidate, holdout))
    return taken


def test_a_later_look_is_judged_more_strictly_and_says_which_it_is(tiny_use_case: UseCase) -> None:
    taken = looks("abcdefghijklmnopqrst")
    first, last = (judged(tiny_use_case, taken=each) for each in (taken[0], taken[-1]))
    one, other = only(first, "skill").estimate, only(last, "skill").estimate
    assert one is not None
    assert other is not None
    assert (one.level, other.level) == (1 - taken[0].alpha, 1 - taken[-1].alpha)
    assert one.value == other.value
    assert other.low < one.low
    assert only(last, "skill").reason.endswith("(look 20)")


def test_a_look_without_power_says_what_would_renew_it(tiny_use_case: UseCase) -> None:
    taken = looks("abcdefghijklmnopqrst")[-1]
    first, spent = CANDIDATE.holdout["skill"], only(judged(tiny_use_case, taken=taken), "skill").estimate
    assert spent is not None
    between = gated(tiny_use_case, skill=Gate(at_least=(first.low + spent.low) / 2))
    assert judged(between).outcome is Outcome.PASS
    made = only(judged(between, taken=taken), "skill")
    assert made.outcome is Outcome.INCONCLUSIVE
    assert "at a first look: a new salt renews the holdout; to pass: about " in made.reason
    timed = dataclasses.replace(taken, cut=datetime(2026, 1, 1, tzinfo=UTC))
    assert "at a first look: a later cut renews the holdout" in only(judged(between, taken=timed), "skill").reason
    hopeless = gated(tiny_use_case, skill=Gate(at_least=first.value))
    assert "first look" not in only(judged(hopeless, taken=taken), "skill").reason
