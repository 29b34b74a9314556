"""Where candidates and versions stand, and how a candidate becomes a version.

    candidates/USE_CASE/ID/     the six files of a bundle
    signed/USE_CASE/DIGEST/     a manifest and its signature, under the manifest's own digest
    versions/USE_CASE/1.4.0/    all eight: what is loaded

A version's number is taken by its fact in the ledger, which only one writer can write. So what is signed is first
kept under its own digest, where nobody can be in the way; then comes the fact; then the files are copied to the shelf,
which may be repeated. Whoever dies in between leaves no number taken without bytes behind it: admitting the candidate
again ends the work.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mainstay.adapters.blobs import Blobs
from mainstay.adapters.signing import Signer
from mainstay.digests import sha256, short
from mainstay.errors import Conflict, NotFound, Refused
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import SPLITS, VERSIONS
from mainstay.nouns import Candidate, DatasetVersion, ModelVersion, Run, StoredFile
from mainstay.registry.manifest import MANIFEST, SIGNATURE, Against, Entity, Manifest, document, parse
from mainstay.registry.versioning import FIRST, inputs_broken, next_version, number
from mainstay.scoring.bundle import FILES, Bundle, candidate_id, from_files, stored
from mainstay.verdicts import Outcome, Verdict

ATTEMPTS = 20
"""How often to ask for the next number while others take it."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A candidate and what it is bound to: its run, its dataset, and the fact of the verdict that it passed.

    `against` is how it differs from the champion on the holdout; None where nothing is live yet. `entity` is whom the
    rows are about, None for nobody.
    """

    candidate: Candidate
    run: Run
    dataset: DatasetVersion
    verdict: Fact[Verdict]
    feature_service: str
    against: Against | None = None
    entity: Entity | None = None


def store_candidate(use_case: str, files: Mapping[str, bytes], blobs: Blobs) -> str:
    """Keep a candidate's files, and return its id. The same files twice are the same as once."""
    name = candidate_id(files)
    for file in FILES:
        blobs.put(f"candidates/{use_case}/{name}/{file}", files[file])
    return name


def candidate_files(candidate: Candidate, blobs: Blobs) -> dict[str, bytes]:
    """The files of a candidate. NotFound if one is missing; Refused if one is not what the candidate's fact says."""
    folder = f"candidates/{candidate.use_case}/{candidate.id}"
    files = {name: blobs.get(f"{folder}/{name}") for name in FILES}
    _compare(files, candidate.files, folder)
    if candidate_id(files) != candidate.id:
        raise Refused("its files are not those that its id was made from", folder)
    return files


def candidate_bundle(candidate: Candidate, blobs: Blobs) -> Bundle:
    """A candidate, parsed: its digests are in the ledger, so its files are checked before. Raises as above."""
    return from_files(candidate_files(candidate, blobs))


def versions(ledger: Ledger, use_case: str) -> list[ModelVersion]:
    """Every version of a use case, the lowest number first."""
    found = [fact.body for fact in ledger.latest_of_each(use_case, VERSIONS)]
    return sorted(found, key=lambda version: number(version.version))


def identical(ledger: Ledger, use_case: str, candidate: str) -> ModelVersion | None:
    """The version that this candidate (by id) is already; None if it is none."""
    return _identical(versions(ledger, use_case), candidate)


def champion(ledger: Ledger, use_case: str) -> ModelVersion | None:
    """The version that is champion, also while a challenger answers more; None where nothing is live.

    NotFound if the split names a version without fact.
    """
    split = ledger.latest(use_case, SPLITS, use_case)
    if split is None:
        return None
    fact = ledger.latest(use_case, VERSIONS, split.body.reigning)
    if fact is None:
        raise NotFound(f"there is no version {use_case}@{split.body.reigning}, though it is live")
    return fact.body


def admit(
    asked: Admission, ledger: Ledger, blobs: Blobs, signer: Signer, *, now: datetime, actor: str, reason: str
) -> ModelVersion:
    """Number a candidate, sign it, write its fact and put it on the shelf; or the version that it is already.

    What stands already is asked nothing, only put back on the shelf. A new version is Refused unless the verdict is a
    PASS on this very candidate, run and dataset are its own, and its files are what they were (as `candidate_files`).
    Nothing is left behind where signing fails. Conflict only where others took every number that was tried.
    """
    for _ in range(ATTEMPTS):
        known = versions(ledger, asked.candidate.use_case)
        standing = _identical(known, asked.candidate.id)
        if standing is None:
            _check(asked)
            files = candidate_files(asked.candidate, blobs)
            bundle = from_files(files)
            chosen = _number(asked, bundle, known, blobs)
            manifest = _manifest(asked, bundle, stored(files), chosen, signer.key_id, now)
            standing = _written(manifest, ledger, blobs, signer, now=now, actor=actor, reason=reason)
        if standing is not None:
            shelve(standing, blobs)
            return standing
    raise Conflict(f"others took each of the {ATTEMPTS} numbers that were tried; try again", asked.candidate.use_case)


def signed(version: ModelVersion, blobs: Blobs) -> Manifest:
    """The manifest behind a version's fact, which holds its digest. NotFound, or Refused if it was changed."""
    return parse(_signed_bytes(version, blobs))


def _identical(known: list[ModelVersion], candidate: str) -> ModelVersion | None:
    return next((version for version in known if version.candidate == candidate), None)


def _check(asked: Admission) -> None:
    candidate, verdict = asked.candidate, asked.verdict.body
    place = short(candidate.id)
    if verdict.subject != candidate.id:
        raise Refused(f"the verdict is about {short(verdict.subject)}, not about this candidate", place)
    if verdict.outcome is not Outcome.PASS:
        raise Refused(f"its verdict is {verdict.outcome}, and only what passed is registered: {verdict.reason}", place)
    if asked.run.id != candidate.run or asked.dataset.id != candidate.dataset:
        raise Refused("the run and the dataset must be those that the candidate came from", place)


def _number(asked: Admission, bundle: Bundle, known: list[ModelVersion], blobs: Blobs) -> str:
    if not known:
        return FIRST
    before = signed(known[-1], blobs)
    broken = bool(inputs_broken(before.inputs, bundle.encoder.inputs)) or before.classes != bundle.decide.classes
    return next_version(
        known[-1].version, broken, math.nan if asked.against is None else asked.against.flipped_share.value
    )


def _manifest(
    asked: Admission, bundle: Bundle, files: Mapping[str, StoredFile], version: str, key: str, now: datetime
) -> Manifest:
    candidate = asked.candidate
    return Manifest(
        candidate.use_case,
        version,
        candidate.id,
        files,
        bundle.decide.classes,
        bundle.encoder.inputs,
        asked.feature_service,
        asked.dataset.id,
        asked.dataset.holdout,
        asked.run.id,
        asked.run.recipe,
        asked.run.code,
        candidate.holdout,
        asked.against,
        asked.verdict.seq,
        key,
        now,
        asked.entity,
    )


def _written(
    manifest: Manifest, ledger: Ledger, blobs: Blobs, signer: Signer, *, now: datetime, actor: str, reason: str
) -> ModelVersion | None:
    """The version, once its fact stands; None if somebody else took the number."""
    data = document(manifest)
    signature = signer.sign(data)
    version = ModelVersion(
        manifest.use_case,
        manifest.version,
        manifest.candidate,
        manifest.dataset,
        manifest.run,
        sha256(data),
        manifest.key_id,
        manifest.metrics,
    )
    blobs.put(_staged(version, MANIFEST), data)
    blobs.put(_staged(version, SIGNATURE), signature)
    try:
        entry = Entry(VERSIONS, version.version, version)
        ledger.write(version.use_case, entry, at=now, actor=actor, reason=reason)
    except Conflict:
        return None
    return version


def shelve(version: ModelVersion, blobs: Blobs) -> None:
    """Copy to the shelf what a version's fact names; the manifest and its signature come last. May be repeated.

    NotFound or Refused where the candidate's files or the signed manifest are no longer what they were.
    """
    data = _signed_bytes(version, blobs)
    source = f"candidates/{version.use_case}/{version.candidate}"
    files = {name: blobs.get(f"{source}/{name}") for name in FILES}
    _compare(files, parse(data).files, source)
    files |= {MANIFEST: data, SIGNATURE: blobs.get(_staged(version, SIGNATURE))}
    for name, content in files.items():
        blobs.put(f"versions/{version.use_case}/{version.version}/{name}", content)


def _signed_bytes(version: ModelVersion, blobs: Blobs) -> bytes:
    data = blobs.get(_staged(version, MANIFEST))
    if sha256(data) != version.manifest:
        raise Refused("it was changed after it was signed", _staged(version, MANIFEST))
    return data


def _staged(version: ModelVersion, name: str) -> str:
    return f"signed/{version.use_case}/{version.manifest}/{name}"


def _compare(files: Mapping[str, bytes], named: Mapping[str, StoredFile], place: str) -> None:
    found = stored(files)
    changed = [name for name in named if found.get(name) != named[name]]
    if changed:
        raise Refused(f"{changed[0]} is not what it was when the candidate was made", place)
