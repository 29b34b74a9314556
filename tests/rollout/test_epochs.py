"""Epochs: they start when shares change, and with nothing else."""

from rollout_traffic import ROLLOUT, history, split

from mainstay.rollout.epochs import stages


def test_shares_that_come_back_are_another_epoch() -> None:
    found = stages(history(split(1, 0.5), split(2, 0.25), split(3, 0.5), split(4, 0.5)), ROLLOUT)
    assert [each.epoch for each in found] == [0, 1, 2, 2]


def test_a_listener_that_joins_is_an_epoch_of_its_own() -> None:
    found = stages(history(split(1, 0), split(2, 0, listens=True), split(3, 1, listens=True)), ROLLOUT)
    assert [(each.epoch, each.mode, each.share) for each in found] == [
        (0, "alone", 0.5),
        (1, "paired", 0.5),
        (2, "paired", 0.5),
    ]
