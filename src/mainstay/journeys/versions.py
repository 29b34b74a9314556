"""Versions of data: their log, their tags, what differs between two, and their rows as a file again."""

import io
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mainstay.data.compare import Difference, compare
from mainstay.data.freeze import open_dataset
from mainstay.data.validate import REASONS
from mainstay.errors import NotFound, Refused, Unavailable
from mainstay.journeys.asked import Asked
from mainstay.journeys.recorded import dataset_named, settle, withdrawn_datasets
from mainstay.ledger.facts import Entry, Fact
from mainstay.ledger.kinds import DATASETS, TAGS
from mainstay.nouns import DatasetVersion, Tag
from mainstay.usecase import UseCase
from mainstay.wiring import Platform

ENDINGS: Final = (".parquet", ".csv")
_VALUE: Final = re.compile(r": `.*", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of the log: the fact of a freeze, the tags that its version has now, and whether it was withdrawn."""

    fact: Fact[DatasetVersion]
    tags: tuple[str, ...]
    withdrawn: bool = False


def log(platform: Platform, use_case: UseCase) -> list[Logged]:
    """Every freeze, the newest first. The same rows frozen with another holdout are another entry of one id."""
    tags: dict[str, list[str]] = {}
    for tagged in platform.ledger.latest_of_each(use_case.name, TAGS):
        tags.setdefault(tagged.body.dataset, []).append(tagged.body.name)
    facts = reversed(platform.ledger.all_of(use_case.name, DATASETS))
    gone = withdrawn_datasets(platform.ledger, use_case.name)
    return [Logged(fact, tuple(sorted(tags.get(fact.subject, ()))), fact.subject in gone) for fact in facts]


def latest(platform: Platform, use_case: UseCase) -> Fact[DatasetVersion]:
    """The fact of the last freeze. NotFound where nothing was frozen yet."""
    facts = platform.ledger.all_of(use_case.name, DATASETS)
    if not facts:
        raise NotFound(f"no dataset of {use_case.name} yet; `mainstay data freeze` makes one")
    return facts[-1]


def chosen(platform: Platform, use_case: UseCase, named: str | None) -> DatasetVersion:
    """The dataset version that an id, the start of one, or a tag names; the last frozen where nothing is given."""
    if named is None:
        return latest(platform, use_case).body
    return dataset_named(platform.ledger, use_case.name, named).body


def tag(platform: Platform, use_case: UseCase, name: str, named: str | None, asked: Asked) -> Tag:
    """Give a dataset version a name, or move the name to it. Where it is there already, nothing is written.

    Refused where the name is not 1 to 63 letters, digits, `.`, `_` or `-`, or could be taken for an id.
    """
    if not _NAME.fullmatch(name) or name.startswith("ds_"):
        raise Refused(
            "a tag is 1 to 63 of a-z, A-Z, 0-9, `.`, `_` and `-`, the first a letter or digit, and not an id (`ds_`)",
            f"tag `{name}`",
        )
    made = Tag(name, chosen(platform, use_case, named).id)

    def unless_it_is_there() -> list[Entry[Any]]:
        before = platform.ledger.latest(use_case.name, TAGS, name)
        if before is not None and before.body == made:
            return []
        return [Entry(TAGS, name, made, before.number if before else 0)]

    settle(platform, use_case.name, unless_it_is_there, asked)
    return made


def diff(platform: Platform, use_case: UseCase, before: str, after: str | None) -> Difference:
    """What differs from one dataset version to another, the last frozen where `after` is not given."""
    pair = chosen(platform, use_case, before), chosen(platform, use_case, after)
    tables = [open_dataset(each, platform.blobs).select(each.columns) for each in pair]
    return compare(pair[0], tables[0], pair[1], tables[1], use_case)


def checkout(platform: Platform, use_case: UseCase, named: str, out: Path) -> DatasetVersion:
    """Write the rows of a dataset version, as they were frozen, as Parquet or CSV by the ending of `out`.

    Which rows were held out is not in the file. Refused for another ending, where something is there already, or where
    a file lies in the way of its folder; Unavailable where the disk will not have it. A file is there whole or not at
    all.
    """
    if out.suffix not in ENDINGS:
        raise Refused(f"the ending says how rows are written: {' or '.join(ENDINGS)}, not `{out.suffix}`", str(out))
    if out.exists():
        raise Refused("it is there already; move it away or choose another --out", str(out))
    dataset = chosen(platform, use_case, named)
    rows = open_dataset(dataset, platform.blobs).select(dataset.columns)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".csv":
            pa_csv.write_csv(rows, part)
        else:
            pq.write_table(rows, part, compression="zstd")
        part.replace(out)
    except (FileExistsError, NotADirectoryError) as error:
        raise Refused("its folder is a file; choose another --out", str(out)) from error
    except PermissionError as error:
        raise Refused("permission denied; choose a directory that this user may write into", str(out)) from error
    except OSError as error:
        raise Unavailable(f"cannot be written ({(error.strerror or str(error)).lower()})", str(out)) from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            part.unlink()
    return dataset


def pseudonyms(dataset: DatasetVersion, use_case: UseCase) -> tuple[str, ...]:
    """The columns of a dataset version that hold pseudonyms."""
    columns = use_case.contract.columns
    return tuple(name for name in dataset.columns if name in columns and columns[name].personal == "hash")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The rows that a freeze set aside: how many there are, in which blob, and how many rows each reason holds for."""

    dataset: str
    rows: int
    place: str | None
    reasons: Mapping[str, int]


def quarantined(platform: Platform, use_case: UseCase, named: str | None) -> Quarantined:
    """What was set aside when a dataset version was frozen, the last where none is named.

    A row that broke several promises counts under each of them. A reason is told without the value that broke it.
    """
    dataset = chosen(platform, use_case, named)
    counts: dict[str, int] = {}
    if dataset.quarantine is not None:
        rows = pq.read_table(io.BytesIO(platform.blobs.get(dataset.quarantine)), columns=[REASONS])
        for reason in _single(rows[REASONS], use_case):
            counts[reason] = counts.get(reason, 0) + 1
    ordered = dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
    return Quarantined(dataset.id, dataset.quarantined, dataset.quarantine, ordered)


def _single(reasons: pa.ChunkedArray, use_case: UseCase) -> Sequence[str]:
    """Every reason of every row, without the value that broke the promise: it stands last, in quotes of its own."""
    subjects = "|".join(re.escape(each) for each in (*use_case.contract.columns, *use_case.contract.rules))
    between = f"; (?=`(?:{subjects})` )"  # a value may hold what looks like the next reason
    return [_VALUE.sub("", each) for told in reasons.to_pylist() for each in re.split(between, told)]
