"""Rows that trained a model are told apart from those that may judge it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from mainstay.data.seen import apart_by_construction, trained_on
from mainstay.errors import Refused
from mainstay.nouns import DatasetVersion, Holdout
from mainstay.scoring.frame import HELD_OUT
from mainstay.usecase import UseCase

CUT = datetime(2026, 3, 1, tzinfo=UTC)
ONE = DatasetVersion("ds_1", "shop", 4, ("id",), "contract", Holdout("shop", 0.2), pseudonym_key="k1")


def under(**changed: Any) -> DatasetVersion:
    return replace(ONE, holdout=replace(ONE.holdout, **changed))


def marked(held_out: list[bool], **columns: object) -> pa.Table:
    return pa.table({**columns, HELD_OUT: held_out})


def test_one_salt_keeps_the_holdout_apart_from_what_any_champion_learnt_from() -> None:
    assert apart_by_construction(replace(ONE, id="ds_2"), ONE)
    assert apart_by_construction(under(share=0.1), ONE)
    assert not apart_by_construction(under(share=0.3), ONE)
    assert not apart_by_construction(under(salt="other"), ONE)
    assert not apart_by_construction(replace(ONE, contract="another"), ONE)


def test_a_cut_that_moves_forward_does_too() -> None:
    assert apart_by_construction(under(cut=CUT + timedelta(days=1)), under(cut=CUT))
    assert not apart_by_construction(under(cut=CUT), under(cut=CUT + timedelta(days=1)))
    assert not apart_by_construction(under(cut=CUT), ONE)


def test_a_row_is_told_by_its_entity(shop: UseCase) -> None:
    now = marked([True, True, False], id=["a", "b", "c"], age=[30, 40, 50], left=["No"] * 3)
    then = marked([False, True, False], id=["a", "b", "z"], age=[31, 41, 51], left=["Yes"] * 3)
    assert trained_on(now, ONE, then, ONE, shop).tolist() == [True, False, False]


def test_with_times_an_entity_may_stand_on_both_sides(shop: UseCase) -> None:
    days = pa.array([CUT, CUT + timedelta(days=9)], pa.timestamp("us", "UTC"))
    now = marked([False, True], id=["a", "a"], seen=days)
    then = marked([False], id=["a"], seen=days[:1])
    assert trained_on(now, ONE, then, ONE, shop).tolist() == [True, False]


def test_without_an_entity_a_row_is_told_by_all_but_its_label(shop: UseCase) -> None:
    nameless = shop.model_copy(update={"entity": None})
    now = marked([True, True], age=[30, 40], plan=["plus", None], left=["No", "No"])
    then = marked([False, False], age=[30, 41], plan=["plus", None], left=["Yes", "No"])
    assert trained_on(now, ONE, then, ONE, nameless).tolist() == [True, False]


def test_pseudonyms_under_another_key_tell_nothing(shop: UseCase) -> None:
    rows = marked([True], id=["a"])
    with pytest.raises(Refused, match="another key"):
        trained_on(rows, ONE, rows, replace(ONE, pseudonym_key="k2"), shop)
    nothing = marked([True], left=["No"])
    with pytest.raises(Refused, match="no column"):
        trained_on(nothing, ONE, nothing, ONE, shop)
