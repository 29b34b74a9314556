"""Observations on their way and in their place: shipped while serving goes on, counted, and erased."""

import fcntl
import os
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from mainstay.data.freeze import open_dataset
from mainstay.data.typed import text_of
from mainstay.digests import new_id, pseudonym
from mainstay.errors import Conflict, NotFound, Unavailable
from mainstay.journeys.asked import Asked
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DATASETS, ERASURES
from mainstay.ledger.shipping import Shipped, ship
from mainstay.ledger.upkeep import compact, erase
from mainstay.nouns import Erasure
from mainstay.progress import Progress, keep_progress, read_progress
from mainstay.scoring.spelling import number_text
from mainstay.usecase import UseCase, normal
from mainstay.wiring import Platform

LOOK = 1.0
"""Seconds between two looks for sealed segments."""
COMPACT = 60.0
"""Seconds between two looks for hours that are over."""
PATIENCE = 10.0
"""Seconds in which what was being logged is sealed and shipped."""

Wait = Callable[[float], bool]
Say = Callable[[str], None]


@contextmanager
def only_shipper(platform: Platform, use_case: str) -> Iterator[bool]:
    """Whether this process is, until the end of the block, the one shipper of a use case on this host."""
    path = platform.settings.home / f"shipper-{use_case}.lock"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(
            f"{(error.strerror or str(error)).lower()} while taking the shipper's lock", str(path)
        ) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(file)


def ship_now(platform: Platform, use_case: str) -> Shipped:
    """Ship what is sealed. Conflict where another process of this host does so already."""
    with only_shipper(platform, use_case) as ours:
        if not ours:
            raise Conflict("another process ships the segments of this home already", use_case)
        return ship(platform.stream(), platform.ledger, platform.blobs, use_case, platform.settings.clock())


def follow(platform: Platform, use_case: str, wait: Wait, say: Say) -> None:
    """Ship every second and compact every minute, until `wait` (given seconds) returns True; then ship once more.

    While another process of this host does so, it stands by, and takes over when that one ends. What the world
    refuses is said once, and tried again.
    """
    while True:
        with only_shipper(platform, use_case) as ours:
            if ours:
                _follow(platform, use_case, wait, say)
                return
        if wait(LOOK):
            return


def _follow(platform: Platform, use_case: str, wait: Wait, say: Say) -> None:
    trouble = ""
    compacted = float("-inf")
    ended = False
    progress = _progress(platform, use_case)
    while True:
        now = platform.settings.clock()
        try:
            done = ship(platform.stream(), platform.ledger, platform.blobs, use_case, now)
            progress = _further(progress, done, now)
            keep_progress(platform.settings.home, use_case, progress)
            if done.damaged:
                say(f"{done.damaged} records of {use_case} cannot be read ({done.damaged_bytes} bytes); they are kept")
            if time.monotonic() - compacted >= COMPACT:
                compact(platform.ledger, platform.blobs, use_case, now)
                compacted = time.monotonic()
            if trouble:
                say("shipping goes on")
            trouble = ""
        except Unavailable as error:
            if str(error) != trouble:
                trouble = str(error)
                say(f"shipping waits: {trouble}")
        if ended:
            return
        ended = wait(LOOK)


def _progress(platform: Platform, use_case: str) -> Progress:
    try:
        found = read_progress(platform.settings.home, use_case)
    except Unavailable:
        found = None  # counts begin again, as those of any process do that was started anew
    return found or Progress(platform.settings.clock(), 0, {}, 0)


def _further(progress: Progress, done: Shipped, now: datetime) -> Progress:
    rows = Counter(progress.rows) + Counter(done.rows)
    return Progress(now, progress.segments + done.runs, rows, progress.damaged + done.damaged)


def erased(platform: Platform, use_case: UseCase, entity: str, asked: Asked, wait: Wait) -> Erasure:
    """Remove every observation of an entity, given by the name that requests give it, and say what cannot be rebuilt.

    What is being logged is shipped first, so that it is removed as well: Unavailable where that takes longer than 10
    seconds. NotFound where names are pseudonyms and their key is not here; Conflict where files were replaced
    meanwhile: ask again.
    """
    name = stored_name(platform, use_case, entity)
    now = platform.settings.clock()
    _drain(platform, use_case.name, wait)
    done = erase(platform.ledger, platform.blobs, use_case.name, name)
    made = Erasure(new_id(now), done.rows, done.files, tuple(_datasets(platform, use_case, name)))
    entry = Entry(ERASURES, made.id, made)
    platform.ledger.write(use_case.name, entry, at=now, actor=asked.actor, reason=asked.reason)
    return made


def stored_name(platform: Platform, use_case: UseCase, entity: str) -> str:
    """An entity as it is stored: spelt as its column is in a dataset, or its pseudonym where the contract says so."""
    column = use_case.contract.columns.get(use_case.entity) if use_case.entity else None
    text = spelt_entity(use_case, entity)
    return pseudonym(text, platform.pseudonym_key()[1]) if column is not None and column.personal == "hash" else text


def spelt_entity(use_case: UseCase, entity: str) -> str:
    """An entity as its column in a dataset spells it, before it is made a pseudonym: as serving spells it too."""
    column = use_case.contract.columns.get(use_case.entity) if use_case.entity else None
    text = unicodedata.normalize("NFC", entity)
    if column is None or column.type not in ("integer", "number", "category"):
        return text
    return normal(text) if column.type == "category" else number_text(text)


def _drain(platform: Platform, use_case: str, wait: Wait) -> None:
    """Ship until nothing waits that was being logged when this began. Unavailable where that takes too long."""
    started = platform.settings.clock()  # the one by which segments are named
    until = time.monotonic() + PATIENCE
    while True:
        with only_shipper(platform, use_case) as ours:
            if ours:
                ship(platform.stream(), platform.ledger, platform.blobs, use_case, platform.settings.clock())
        since = platform.stream().waiting(use_case).since
        if since is None or since > started:
            return
        if time.monotonic() > until or wait(0.5):
            raise Unavailable(
                "what was being logged is not shipped yet, and may be about the entity: nothing was erased, ask again",
                use_case,
            )


def _datasets(platform: Platform, use_case: UseCase, name: str) -> Iterator[str]:
    """The datasets that were frozen with rows of an entity."""
    for fact in platform.ledger.latest_of_each(use_case.name, DATASETS):
        if use_case.entity is None or use_case.entity not in fact.body.columns:
            continue
        try:
            column = text_of(open_dataset(fact.body, platform.blobs)[use_case.entity])
        except NotFound:
            continue
        if pc.any(pc.equal(column, pa.scalar(name, pa.string()))).as_py():
            yield fact.body.id
