"""How a candidate becomes a version, and what stands on the shelf afterwards."""

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mainstay.adapters.blobs import BlobDirectory, Blobs
from mainstay.adapters.signing import KeyFile, Signer
from mainstay.errors import Conflict, NotFound, Refused, Unavailable
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import SPLITS, VERSIONS
from mainstay.nouns import Arm, Candidate, Estimate, ModelVersion, Split
from mainstay.registry.loading import load
from mainstay.registry.manifest import Against
from mainstay.registry.shelf import (
    Admission,
    admit,
    candidate_bundle,
    candidate_files,
    champion,
    identical,
    signed,
    store_candidate,
    versions,
)
from mainstay.scoring.bundle import FILES, Bundle, candidate_id, to_files
from mainstay.scoring.encode import Encoder, Input
from mainstay.scoring.scorer import Scorer
from mainstay.verdicts import Limit, Verdict, check

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Ask = Callable[..., Admission]
Trusted = dict[str, Ed25519PublicKey]
EIGHT = {*FILES, "manifest.json", "manifest.sig"}


def admitted(asked: Admission, ledger: Ledger, blobs: Blobs, signer: Signer) -> ModelVersion:
    return admit(asked, ledger, blobs, signer, now=NOW, actor="ada", reason="It passed.")


def flipping(share: float, champion: str = "1.0.0") -> Against:
    return Against(
        champion,
        Estimate(share, share / 2, share * 2, 1409),
        Estimate(0.0, -0.1, 0.1, 1409),
        Estimate(0.05, 0.04, 0.06, 1409),
    )


def on_shelf(blobs: BlobDirectory, version: str = "1.0.0") -> dict[str, bytes]:
    folder = f"versions/tiny/{version}/"
    return {name.removeprefix(folder): blobs.get(name) for name in blobs.names(folder)}


@pytest.fixture
def third_bundle(tiny_bundle: Bundle) -> Bundle:
    """A candidate that differs in its threshold alone."""
    return dataclasses.replace(tiny_bundle, decide=dataclasses.replace(tiny_bundle.decide, threshold=0.25))


def with_inputs(bundle: Bundle, inputs: tuple[Input, ...]) -> Bundle:
    old = bundle.encoder
    return dataclasses.replace(bundle, encoder=Encoder(inputs, old.derived, old.features))


class DeadSigner:
    """A signing service that is down."""

    key_id = "0" * 16

    def sign(self, data: bytes) -> bytes:
        raise Unavailable("the signing service does not answer")


class DyingBlobs:
    """A store that kills its process, as SIGKILL does, when the n-th blob is about to be put."""

    def __init__(self, inner: Blobs, puts: int) -> None:
        self._inner = inner
        self._puts = puts

    def put(self, name: str, data: bytes) -> None:
        if self._puts == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._puts -= 1
        self._inner.put(name, data)

    def get(self, name: str) -> bytes:
        return self._inner.get(name)

    def exists(self, name: str) -> bool:
        return self._inner.exists(name)

    def remove(self, name: str) -> None:
        self._inner.remove(name)

    def names(self, prefix: str = "") -> list[str]:
        return self._inner.names(prefix)


def test_a_version_that_was_admitted_loads_and_answers_as_its_candidate_did(
    tiny_bundle: Bundle,
    tiny_admission: Ask,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
    tiny_trusted: Trusted,
) -> None:
    asked = tiny_admission(tiny_bundle)
    version = admitted(asked, tiny_ledger, tiny_blobs, tiny_signer)
    manifest, bundle = load("tiny", "1.0.0", tiny_blobs, tiny_trusted)
    Scorer(bundle).warm_up()
    assert to_files(bundle) == to_files(tiny_bundle)
    assert set(on_shelf(tiny_blobs)) == EIGHT
    assert version.version == manifest.version == "1.0.0"
    assert version.candidate == manifest.candidate == candidate_id(to_files(tiny_bundle))
    assert (manifest.classes, manifest.inputs) == (("No", "Yes"), tiny_bundle.encoder.inputs)
    assert (manifest.dataset, manifest.run, manifest.recipe) == ("ds_1", "run-1", "a" * 64)
    assert (manifest.holdout, manifest.feature_service) == (asked.dataset.holdout, "tiny_v1")
    assert (manifest.verdict, manifest.at, manifest.against) == (asked.verdict.seq, NOW, None)
    assert manifest.metrics == version.metrics == asked.candidate.holdout
    assert manifest.key_id == version.key_id == tiny_signer.key_id
    assert signed(version, tiny_blobs) == manifest


def test_the_fact_of_a_version_says_who_and_why(tiny_live: ModelVersion, tiny_ledger: Ledger) -> None:
    (fact,) = tiny_ledger.history("tiny", VERSIONS, "1.0.0")
    assert (fact.actor, fact.reason, fact.at, fact.body) == ("ada", "It passed.", NOW, tiny_live)


def test_an_identical_candidate_is_the_version_that_stands(
    tiny_bundle: Bundle, tiny_admission: Ask, tiny_ledger: Ledger, tiny_blobs: BlobDirectory, tiny_signer: KeyFile
) -> None:
    first = admitted(tiny_admission(tiny_bundle), tiny_ledger, tiny_blobs, tiny_signer)
    before = on_shelf(tiny_blobs)
    assert identical(tiny_ledger, "tiny", first.candidate) == first
    again = admitted(tiny_admission(tiny_bundle, flipping(0.5)), tiny_ledger, tiny_blobs, tiny_signer)
    assert again == first
    assert versions(tiny_ledger, "tiny") == [first]
    assert on_shelf(tiny_blobs) == before
    assert identical(tiny_ledger, "tiny", "cd_another") is None


def test_numbers_follow_what_changes_for_those_who_ask(
    tiny_bundle: Bundle,
    tiny_other_bundle: Bundle,
    third_bundle: Bundle,
    tiny_admission: Ask,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
    tiny_trusted: Trusted,
) -> None:
    age, *others = tiny_bundle.encoder.inputs
    narrower = with_inputs(third_bundle, (dataclasses.replace(age, range=(18.0, 90.0)), *others))
    given = [
        (tiny_bundle, None, "1.0.0"),
        (third_bundle, flipping(0.005), "1.0.1"),
        (tiny_other_bundle, flipping(0.2), "1.1.0"),
        (narrower, flipping(0.0), "2.0.0"),
        (with_inputs(narrower, tiny_bundle.encoder.inputs[::-1]), None, "2.1.0"),
    ]
    for bundle, against, number in given:
        version = admitted(tiny_admission(bundle, against), tiny_ledger, tiny_blobs, tiny_signer)
        assert version.version == number
        assert load("tiny", number, tiny_blobs, tiny_trusted)[0].against == against
    assert [version.version for version in versions(tiny_ledger, "tiny")] == [number for *_, number in given]


def test_other_classes_are_a_new_major_version(
    tiny_bundle: Bundle, tiny_live: ModelVersion, tiny_admission: Ask, tiny_ledger: Ledger, tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
) -> None:  # fmt: skip
    renamed = dataclasses.replace(tiny_bundle.decide, classes=("stays", "leaves"), positive="leaves")
    asked = tiny_admission(dataclasses.replace(tiny_bundle, decide=renamed), flipping(0.0))
    assert admitted(asked, tiny_ledger, tiny_blobs, tiny_signer).version == "2.0.0"


def test_only_what_passed_is_registered(
    tiny_bundle: Bundle, tiny_admission: Ask, tiny_ledger: Ledger, tiny_blobs: BlobDirectory, tiny_signer: KeyFile
) -> None:
    asked = tiny_admission(tiny_bundle)
    failing = check("skill", Estimate(0.02, 0.0, 0.04, 1409), Limit(at_least=0.1))
    for checks, said in (((failing,), "FAIL"), ((), "INCONCLUSIVE")):
        verdict = Verdict(asked.candidate.id, checks)
        refused = dataclasses.replace(asked, verdict=dataclasses.replace(asked.verdict, body=verdict))
        with pytest.raises(Refused, match=f"verdict is {said}, and only what passed is registered"):
            admitted(refused, tiny_ledger, tiny_blobs, tiny_signer)
    assert versions(tiny_ledger, "tiny") == []


def test_a_verdict_on_another_candidate_registers_nothing(
    tiny_bundle: Bundle,
    tiny_other_bundle: Bundle,
    tiny_admission: Ask,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
) -> None:
    passed = tiny_admission(tiny_bundle).verdict
    asked = dataclasses.replace(tiny_admission(tiny_other_bundle), verdict=passed)
    with pytest.raises(Refused, match="not about this candidate"):
        admitted(asked, tiny_ledger, tiny_blobs, tiny_signer)


def test_a_candidate_is_bound_to_its_own_run_and_dataset(
    tiny_bundle: Bundle, tiny_admission: Ask, tiny_ledger: Ledger, tiny_blobs: BlobDirectory, tiny_signer: KeyFile
) -> None:
    asked = tiny_admission(tiny_bundle)
    for other in (
        dataclasses.replace(asked, run=dataclasses.replace(asked.run, id="run-2")),
        dataclasses.replace(asked, dataset=dataclasses.replace(asked.dataset, id="ds_2")),
    ):
        with pytest.raises(Refused, match="must be those that the candidate came from"):
            admitted(other, tiny_ledger, tiny_blobs, tiny_signer)


def test_a_signing_service_that_is_down_leaves_nothing(
    tiny_bundle: Bundle, tiny_admission: Ask, tiny_ledger: Ledger, tiny_blobs: BlobDirectory
) -> None:
    asked = tiny_admission(tiny_bundle)
    before = tiny_blobs.names()
    with pytest.raises(Unavailable):
        admitted(asked, tiny_ledger, tiny_blobs, DeadSigner())
    assert tiny_blobs.names() == before
    assert versions(tiny_ledger, "tiny") == []


@pytest.mark.parametrize("puts", [0, 1, 2, 3, 9])
def test_a_process_killed_while_admitting_leaves_a_version_whole_or_not_at_all(
    puts: int,
    tiny_bundle: Bundle,
    tiny_other_bundle: Bundle,
    tiny_admission: Ask,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
    tiny_trusted: Trusted,
) -> None:
    asked = tiny_admission(tiny_bundle)
    tiny_ledger.close()
    child = multiprocessing.get_context("fork").Process(
        target=admitted, args=(asked, Ledger(tiny_ledger.place), DyingBlobs(tiny_blobs, puts), tiny_signer)
    )
    with warnings.catch_warnings():
        # From 3.12 on a fork beside threads is warned of; the child starts none and takes no lock of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    child.join(30)
    assert child.exitcode == -signal.SIGKILL
    for version in versions(tiny_ledger, "tiny"):
        assert signed(version, tiny_blobs).version == version.version
    # Whoever comes next takes a number of its own, and the repeated one ends what it began.
    other = admitted(tiny_admission(tiny_other_bundle), tiny_ledger, tiny_blobs, tiny_signer)
    version = admitted(asked, tiny_ledger, tiny_blobs, tiny_signer)
    assert {other.version, version.version} == {"1.0.0", "1.1.0"}
    for each in (other, version):
        assert load("tiny", each.version, tiny_blobs, tiny_trusted)[0].candidate == each.candidate
        assert set(on_shelf(tiny_blobs, each.version)) == EIGHT


def test_two_who_admit_at_once_never_share_a_number(
    tiny_bundle: Bundle,
    tiny_other_bundle: Bundle,
    third_bundle: Bundle,
    tiny_admission: Ask,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
    tiny_trusted: Trusted,
) -> None:
    asked = [tiny_admission(bundle) for bundle in (tiny_bundle, tiny_other_bundle, third_bundle, tiny_bundle)]
    gate = threading.Barrier(len(asked))
    made: list[ModelVersion] = []

    def work(one: Admission) -> None:
        with Ledger(tiny_ledger.place) as ledger:
            gate.wait()
            made.append(admitted(one, ledger, tiny_blobs, tiny_signer))

    threads = [threading.Thread(target=work, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 4
    standing = versions(tiny_ledger, "tiny")
    assert [version.version for version in standing] == ["1.0.0", "1.1.0", "1.2.0"]
    assert {version.candidate for version in standing} == {one.candidate.id for one in asked}
    for version in standing:
        assert load("tiny", version.version, tiny_blobs, tiny_trusted)[0].candidate == version.candidate


class AlwaysTaken(Ledger):
    """A ledger in which somebody else is always a moment faster."""

    def write(
        self, use_case: str, *entries: Entry[object], at: datetime, actor: str, reason: str
    ) -> list[Fact[object]]:
        raise Conflict("somebody else moved first")


def test_who_never_gets_a_number_is_told_so(
    tiny_bundle: Bundle, tiny_admission: Ask, tiny_ledger: Ledger, tiny_blobs: BlobDirectory, tiny_signer: KeyFile
) -> None:
    asked = tiny_admission(tiny_bundle)
    with AlwaysTaken(tiny_ledger.place) as ledger, pytest.raises(Conflict, match="try again"):
        admitted(asked, ledger, tiny_blobs, tiny_signer)
    assert not tiny_blobs.names("versions/")


def test_what_stands_is_asked_nothing_again(
    tiny_live: ModelVersion,
    tiny_bundle: Bundle,
    tiny_admission: Ask,
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
) -> None:
    asked = tiny_admission(tiny_bundle)
    unmade = dataclasses.replace(asked.verdict, body=Verdict(asked.candidate.id, ()))
    again = dataclasses.replace(asked, verdict=unmade, run=dataclasses.replace(asked.run, id="run-2"))
    assert admitted(again, tiny_ledger, tiny_blobs, tiny_signer) == tiny_live


def test_a_candidate_under_an_id_that_its_files_do_not_give_is_refused(
    tiny_bundle: Bundle, tiny_candidate: Callable[[Bundle], Candidate], tiny_blobs: BlobDirectory
) -> None:
    candidate = dataclasses.replace(tiny_candidate(tiny_bundle), id="cd_stolen")
    for name, data in to_files(tiny_bundle).items():
        tiny_blobs.put(f"candidates/tiny/cd_stolen/{name}", data)
    with pytest.raises(Refused, match="not those that its id was made from"):
        candidate_files(candidate, tiny_blobs)


def test_a_candidate_whose_files_were_changed_is_not_signed(
    tiny_bundle: Bundle, tiny_admission: Ask, tiny_ledger: Ledger, tiny_blobs: BlobDirectory, tiny_signer: KeyFile
) -> None:
    asked = tiny_admission(tiny_bundle)
    tiny_blobs.put(f"candidates/tiny/{asked.candidate.id}/golden.json", b"{}")
    with pytest.raises(Refused, match=r"golden\.json is not what it was when the candidate was made"):
        admitted(asked, tiny_ledger, tiny_blobs, tiny_signer)


def test_a_manifest_changed_between_signing_and_shelving_is_refused(
    tiny_live: ModelVersion, tiny_bundle: Bundle, tiny_admission: Ask, tiny_ledger: Ledger, tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
) -> None:  # fmt: skip
    (name,) = tiny_blobs.names(f"signed/tiny/{tiny_live.manifest}/manifest.json")
    tiny_blobs.put(name, tiny_blobs.get(name) + b" ")
    with pytest.raises(Refused, match="changed after it was signed"):
        admitted(tiny_admission(tiny_bundle), tiny_ledger, tiny_blobs, tiny_signer)


def test_a_candidate_is_stored_once_and_comes_back_as_it_was(
    tiny_bundle: Bundle, tiny_candidate: Callable[[Bundle], Candidate], tiny_blobs: BlobDirectory
) -> None:
    files = to_files(tiny_bundle)
    assert store_candidate("tiny", files, tiny_blobs) == store_candidate("tiny", files, tiny_blobs)
    candidate = tiny_candidate(tiny_bundle)
    assert candidate_files(candidate, tiny_blobs) == files
    assert to_files(candidate_bundle(candidate, tiny_blobs)) == files
    with pytest.raises(NotFound):
        candidate_files(dataclasses.replace(candidate, id="cd_unknown"), tiny_blobs)


def test_the_champion_is_what_the_split_says(
    tiny_live: ModelVersion, tiny_other_bundle: Bundle, tiny_admission: Ask, tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory, tiny_signer: KeyFile,
) -> None:  # fmt: skip
    assert champion(tiny_ledger, "another") is None
    newer = admitted(tiny_admission(tiny_other_bundle), tiny_ledger, tiny_blobs, tiny_signer)
    assert newer.version == "1.1.0"
    assert champion(tiny_ledger, "tiny") == tiny_live
    unknown = Entry(SPLITS, "tiny", Split(2, "tiny", (Arm("9.0.0", 1.0),), "c" * 64), after=1)
    tiny_ledger.write("tiny", unknown, at=NOW, actor="ada", reason="A mistake.")
    with pytest.raises(NotFound, match=r"tiny@9\.0\.0, though it is live"):
        champion(tiny_ledger, "tiny")


def test_a_version_that_is_not_there_is_not_found(tiny_blobs: BlobDirectory, tiny_trusted: Trusted) -> None:
    with pytest.raises(NotFound, match="no such version on the shelf"):
        load("tiny", "1.0.0", tiny_blobs, tiny_trusted)


def test_what_serving_needs_of_the_registry_brings_nothing_heavy_along() -> None:
    heavy = ("pyarrow", "mlflow", "scipy", "sklearn", "pandas", "mainstay.measures")
    code = f"import sys, mainstay.registry.live; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
