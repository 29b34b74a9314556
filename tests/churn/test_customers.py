import csv
import re
from pathlib import Path

import numpy as np
import pytest

from mainstay.churn import customers

TELCO = Path(__file__).parents[2] / "../shared/data/telco-customer-churn.csv"
ROWS = 60_000
# IBM's published table, 7,043 customers: the share of each value, and of those who have it, the share who churned.
TELCO_SHARES: dict[str, dict[str | int, tuple[float, float]]] = {
    "gender": {"Female": (0.495, 0.269), "Male": (0.505, 0.262)},
    "SeniorCitizen": {0: (0.838, 0.236), 1: (0.162, 0.417)},
    "Partner": {"Yes": (0.483, 0.197), "No": (0.517, 0.330)},
    "Dependents": {"Yes": (0.300, 0.155), "No": (0.700, 0.313)},
    "PhoneService": {"Yes": (0.903, 0.267), "No": (0.097, 0.249)},
    "MultipleLines": {"Yes": (0.422, 0.286), "No": (0.481, 0.250), "No phone service": (0.097, 0.249)},
    "InternetService": {"DSL": (0.344, 0.190), "Fiber optic": (0.440, 0.419), "No": (0.217, 0.074)},
    "OnlineSecurity": {"Yes": (0.287, 0.146), "No": (0.497, 0.418), "No internet service": (0.217, 0.074)},
    "OnlineBackup": {"Yes": (0.345, 0.215), "No": (0.438, 0.399), "No internet service": (0.217, 0.074)},
    "DeviceProtection": {"Yes": (0.344, 0.225), "No": (0.439, 0.391), "No internet service": (0.217, 0.074)},
    "TechSupport": {"Yes": (0.290, 0.152), "No": (0.493, 0.416), "No internet service": (0.217, 0.074)},
    "StreamingTV": {"Yes": (0.384, 0.301), "No": (0.399, 0.335), "No internet service": (0.217, 0.074)},
    "StreamingMovies": {"Yes": (0.388, 0.299), "No": (0.395, 0.337), "No internet service": (0.217, 0.074)},
    "Contract": {"Month-to-month": (0.550, 0.427), "One year": (0.209, 0.113), "Two year": (0.241, 0.028)},
    "PaperlessBilling": {"Yes": (0.592, 0.336), "No": (0.408, 0.163)},
    "PaymentMethod": {
        "Bank transfer (automatic)": (0.219, 0.167),
        "Credit card (automatic)": (0.216, 0.152),
        "Electronic check": (0.336, 0.453),
        "Mailed check": (0.229, 0.191),
    },
}
# The same by tenure in months: first, last, share of customers, share churned.
TELCO_TENURE = [
    *[(1, 1, 0.087, 0.620), (2, 3, 0.062, 0.495), (4, 6, 0.059, 0.446), (7, 12, 0.100, 0.359), (13, 24, 0.145, 0.287)],
    *[(25, 36, 0.118, 0.216), (37, 48, 0.108, 0.190), (49, 60, 0.118, 0.144), (61, 72, 0.200, 0.066)],
]


@pytest.fixture(scope="module")
def traits() -> customers.Traits:
    return customers.draw(np.random.default_rng(1), ROWS)


@pytest.fixture(scope="module")
def frame(traits: customers.Traits) -> customers.Traits:
    return customers.columns(traits)


@pytest.fixture(scope="module")
def probability(traits: customers.Traits) -> customers.Floats:
    return customers.leaving_probability(traits)


@pytest.mark.parametrize("column", TELCO_SHARES)
def test_every_category_is_as_common_as_in_telco(frame: customers.Traits, column: str) -> None:
    values, counts = np.unique(frame[column], return_counts=True)
    shares = dict(zip(values.tolist(), (counts / ROWS).tolist(), strict=True))
    published = {value: share for value, (share, _) in TELCO_SHARES[column].items()}
    assert shares == pytest.approx(published, abs=0.015)


@pytest.mark.parametrize("column", TELCO_SHARES)
def test_every_category_churns_as_in_telco(frame: customers.Traits, probability: customers.Floats, column: str) -> None:
    rates = {value: float(probability[frame[column] == value].mean()) for value in TELCO_SHARES[column]}
    assert rates == pytest.approx({value: rate for value, (_, rate) in TELCO_SHARES[column].items()}, abs=0.025)


@pytest.mark.parametrize(("first", "last", "share", "rate"), TELCO_TENURE)
def test_tenure_is_spread_and_churns_as_in_telco(
    frame: customers.Traits, probability: customers.Floats, first: int, last: int, share: float, rate: float
) -> None:
    those = (frame["tenure"] >= first) & (frame["tenure"] <= last)
    assert those.mean() == pytest.approx(share, abs=0.01)
    assert probability[those].mean() == pytest.approx(rate, abs=0.05)


def test_charges_lie_where_telcos_do(frame: customers.Traits) -> None:
    quantiles = np.quantile(frame["MonthlyCharges"], [0.05, 0.25, 0.5, 0.75, 0.95])
    assert quantiles == pytest.approx([19.65, 35.5, 70.35, 89.85, 107.4], abs=1.5)
    assert frame["MonthlyCharges"].mean() == pytest.approx(64.76, abs=0.5)
    assert np.nanmean(frame["TotalCharges"]) == pytest.approx(2283, abs=100)


def test_charges_follow_from_the_services(traits: customers.Traits) -> None:
    off_list = traits["charges"] - customers.list_price(traits)
    assert np.abs(off_list).max() <= 3.05
    phone_only = np.flatnonzero(traits["offline"] & ~traits["lines"])
    assert customers.list_price(customers.take(traits, phone_only)).tolist() == [20.0] * len(phone_only)


def test_total_charges_are_about_tenure_times_monthly_and_null_before_the_first_bill(frame: customers.Traits) -> None:
    total, months, monthly = frame["TotalCharges"], frame["tenure"], frame["MonthlyCharges"]
    assert 0.0005 < (months == 0).mean() < 0.003
    assert np.array_equal(np.isnan(total), months == 0)
    assert np.array_equal(total[months == 1], monthly[months == 1])
    later = months > 1
    assert (total[later] > monthly[later]).all()
    assert np.median(np.abs(total[later] / (months * monthly)[later] - 1)) < 0.03


def test_what_needs_a_phone_or_the_internet_says_so(frame: customers.Traits) -> None:
    offline = frame["InternetService"] == "No"
    for column in list(customers.SERVICES.values())[1:]:
        assert np.array_equal(frame[column] == "No internet service", offline)
    assert np.array_equal(frame["MultipleLines"] == "No phone service", frame["PhoneService"] == "No")
    assert (frame["InternetService"][frame["PhoneService"] == "No"] == "DSL").all()


def test_the_law_itself_separates_as_well_as_a_good_model_does_on_telco(probability: customers.Floats) -> None:
    assert probability.mean() == pytest.approx(0.265, abs=0.005)
    left = np.random.default_rng(2).random(ROWS) < probability
    ranks = np.empty(ROWS)
    ranks[np.argsort(probability)] = np.arange(1, ROWS + 1)
    yes, no = left.sum(), (~left).sum()
    assert 0.845 < (ranks[left].sum() - yes * (yes + 1) / 2) / (yes * no) < 0.860


def test_ids_look_like_telcos_and_never_repeat() -> None:
    numbers = np.concatenate([np.arange(300_000), np.arange(10**9 - 1000, 10**9)])
    ids = customers.customer_ids(7, numbers)
    assert len(set(ids)) == len(numbers)
    assert all(re.fullmatch(r"[0-9]{4}-[A-Z]{5}", name) for name in ids[:1000])
    assert set(ids[:1000]).isdisjoint(customers.customer_ids(8, numbers[:1000]))


def test_an_empty_draw_has_every_column() -> None:
    frame = customers.columns(customers.draw(np.random.default_rng(1), 0))
    assert len(frame) == 19
    assert {len(values) for values in frame.values()} == {0}


@pytest.mark.skipif(not TELCO.exists(), reason="the real Telco file is not beside this checkout")
def test_the_published_shares_are_those_of_the_real_file_and_the_columns_its_own(frame: customers.Traits) -> None:
    with TELCO.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["customerID", *frame, "Churn"]
    for column, shares in TELCO_SHARES.items():
        for value, (share, rate) in shares.items():
            churned = [row["Churn"] == "Yes" for row in rows if row[column] == str(value)]
            assert len(churned) / len(rows) == pytest.approx(share, abs=0.0006)
            assert sum(churned) / len(churned) == pytest.approx(rate, abs=0.0006)
