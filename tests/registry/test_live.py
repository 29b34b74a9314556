"""What goes live, and what stays as it was."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.blobs import BlobDirectory
from mainstay.adapters.signing import KeyFile
from mainstay.digests import canonical_json, sha256
from mainstay.errors import Conflict, NotFound, Refused
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import Arm, ModelVersion, Pin, Split
from mainstay.registry.configured import configuration, store_configuration
from mainstay.registry.live import go_live, next_split
from mainstay.registry.shelf import Admission, admit, champion
from mainstay.scoring.bundle import Bundle
from mainstay.usecase import UseCase

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Ask = Callable[..., Admission]


@pytest.fixture
def challenger(
    tiny_live: ModelVersion,
    tiny_other_bundle: Bundle,
    tiny_admission: Ask,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
) -> ModelVersion:
    """Version 1.1.0, on the shelf but not live."""
    asked = tiny_admission(tiny_other_bundle)
    return admit(asked, tiny_ledger, tiny_blobs, tiny_signer, now=NOW, actor="ada", reason="It passed.")


def live(version: ModelVersion, use_case: UseCase, ledger: Ledger, blobs: BlobDirectory) -> Split:
    return go_live(version, use_case, ledger, blobs, now=NOW, actor="ada", reason="It was asked for.")


def test_the_first_version_answers_everything(
    tiny_live: ModelVersion, tiny_use_case: UseCase, tiny_ledger: Ledger, tiny_blobs: BlobDirectory
) -> None:
    (fact,) = tiny_ledger.history("tiny", SPLITS, "tiny")
    split = fact.body
    assert (split.number, split.salt, split.arms) == (1, "tiny", (Arm("1.0.0", 1.0),))
    assert (split.feature_service, split.dataset_head, split.rollout) == ("tiny_v1", "ds_1", None)
    assert (fact.actor, fact.reason) == ("ada", "It is the first.")
    assert tiny_blobs.get(f"configuration/{split.configuration}.json") == canonical_json(tiny_use_case.configuration)


def test_the_former_champion_stands_by_so_that_going_back_is_one_fact(
    tiny_live: ModelVersion,
    challenger: ModelVersion,
    tiny_use_case: UseCase,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
) -> None:
    split = live(challenger, tiny_use_case, tiny_ledger, tiny_blobs)
    assert (split.number, split.salt) == (2, "tiny")
    assert split.arms == (Arm("1.1.0", 1.0), Arm("1.0.0", standby=True))
    assert champion(tiny_ledger, "tiny") == challenger
    back = live(tiny_live, tiny_use_case, tiny_ledger, tiny_blobs)
    assert (back.number, back.arms) == (3, (Arm("1.0.0", 1.0), Arm("1.1.0", standby=True)))
    assert [fact.number for fact in tiny_ledger.history("tiny", SPLITS, "tiny")] == [1, 2, 3]


def test_going_live_twice_is_the_same_as_once(
    challenger: ModelVersion, tiny_use_case: UseCase, tiny_ledger: Ledger, tiny_blobs: BlobDirectory
) -> None:
    split = live(challenger, tiny_use_case, tiny_ledger, tiny_blobs)
    assert live(challenger, tiny_use_case, tiny_ledger, tiny_blobs) == split
    assert len(tiny_ledger.history("tiny", SPLITS, "tiny")) == 2


def test_a_changed_configuration_goes_live_and_whoever_stood_by_still_does(
    challenger: ModelVersion, tiny_use_case: UseCase, tiny_ledger: Ledger, tiny_blobs: BlobDirectory
) -> None:
    before = live(challenger, tiny_use_case, tiny_ledger, tiny_blobs)
    stricter = tiny_use_case.model_copy(
        update={"serving": tiny_use_case.serving.model_copy(update={"out_of_range": "refuse"})}
    )
    after = live(challenger, stricter, tiny_ledger, tiny_blobs)
    assert (after.number, after.arms) == (3, before.arms)
    assert configuration(after.configuration, tiny_blobs).serving.out_of_range == "refuse"
    assert configuration(before.configuration, tiny_blobs).serving.out_of_range == "flag"


def test_pins_to_what_is_no_longer_live_are_dropped(tiny_live: ModelVersion) -> None:
    pins = (Pin("1.0.0", "A demonstration.", entity="a"), Pin("0.9.0", "An old friend.", entity="b"))
    arms = (Arm("1.0.0", 1.0), Arm("0.9.0", standby=True))
    standing = Split(7, "salt", arms, "c" * 64, pins=pins)
    newer = dataclasses.replace(tiny_live, version="1.1.0")
    made = next_split(standing, newer, "tiny_v1", "d" * 64)
    assert (made.number, made.salt, made.pins) == (8, "salt", pins[:1])


def test_nothing_goes_live_that_is_not_on_the_shelf_to_its_end(
    challenger: ModelVersion,
    tiny_live: ModelVersion,
    tiny_use_case: UseCase,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tmp_path: Path,
) -> None:
    class WithoutSignatures(BlobDirectory):
        """What a process leaves that died while copying to the shelf."""

        def exists(self, name: str) -> bool:
            return super().exists(name) and not name.endswith("1.1.0/manifest.sig")

    died = WithoutSignatures(tmp_path / "blobs")
    with pytest.raises(Refused, match="not on the shelf to its end: register it again"):
        live(challenger, tiny_use_case, tiny_ledger, died)
    with pytest.raises(NotFound):
        live(dataclasses.replace(challenger, manifest="0" * 64), tiny_use_case, tiny_ledger, tiny_blobs)
    assert champion(tiny_ledger, "tiny") == tiny_live


def test_who_changes_the_split_second_is_told(
    challenger: ModelVersion, tiny_use_case: UseCase, tiny_ledger: Ledger, tiny_blobs: BlobDirectory
) -> None:
    class Slow(Ledger):
        """A ledger in which somebody else writes between our look and our fact."""

        def write(self, use_case: str, *entries: Entry[Any], at: datetime, actor: str, reason: str) -> list[Fact[Any]]:
            other = Entry(SPLITS, "tiny", Split(2, "tiny", (Arm("1.0.0", 1.0),), "e" * 64), after=1)
            super().write(use_case, other, at=at, actor=actor, reason=reason)
            return super().write(use_case, *entries, at=at, actor=actor, reason=reason)

    with Slow(tiny_ledger.place) as slow, pytest.raises(Conflict):
        live(challenger, tiny_use_case, slow, tiny_blobs)


def test_a_configuration_comes_back_as_the_use_case_wrote_it(tiny_use_case: UseCase, tiny_blobs: BlobDirectory) -> None:
    found = configuration(store_configuration(tiny_use_case, tiny_blobs), tiny_blobs)
    for part in ("serving", "monitors", "plan", "label", "profit"):
        assert getattr(found, part) == getattr(tiny_use_case, part)


def test_a_changed_or_later_configuration_is_refused(tiny_use_case: UseCase, tiny_blobs: BlobDirectory) -> None:
    digest = store_configuration(tiny_use_case, tiny_blobs)
    tiny_blobs.put(f"configuration/{digest}.json", b"{}")
    with pytest.raises(Refused, match="changed after it went live"):
        configuration(digest, tiny_blobs)
    later = canonical_json({**tiny_use_case.configuration, "astrology": True})
    tiny_blobs.put(f"configuration/{sha256(later)}.json", later)
    with pytest.raises(Refused, match="upgrade Mainstay"):
        configuration(sha256(later), tiny_blobs)
    with pytest.raises(NotFound):
        configuration("0" * 64, tiny_blobs)
