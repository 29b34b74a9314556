"""CSV in and out: a header, then a line for each row. A blank is missing; texts are read as the contract's types."""

import csv
import math
from io import StringIO

import numpy as np

from mainstay.scoring.reading import Problem
from mainstay.scoring.table import Distinct, Given
from mainstay.serving.answers import Answered
from mainstay.serving.problems import Rejected
from mainstay.serving.table import TABLE_ROWS

COLUMNS = 1000
HEADER = ("prediction_id", "entity", "probability", "decision", "risk", "threshold", "version", "flags", "error")


def read_csv(body: bytes | bytearray) -> tuple[int, dict[str, Given], dict[int, Problem]]:
    """The rows and columns of a CSV in UTF-8 (RFC 4180), and the rows that have not as many fields as the header.

    Rejected with 400 where it is none, or has no header, or one that names a column twice; with 413 for too many rows.
    """
    try:
        text = body.decode("utf-8-sig")
        lines = csv.reader(StringIO(text, newline=""), strict=True)
        names = next(lines, [])
        rows = []
        for fields in lines:
            if fields:  # a blank line is none
                rows.append(fields)
                if len(rows) > TABLE_ROWS:
                    detail = f"the table has too many rows; at most {TABLE_ROWS:,} are taken: send several"
                    raise Rejected(413, detail)
    except UnicodeDecodeError as error:
        raise Rejected(400, f"the body is not UTF-8: byte {error.start} fits no character") from error
    except csv.Error as error:
        raise Rejected(400, f"the body is not CSV: {error}, at line {lines.line_num}") from error
    if not any(name.strip() for name in names) or len(names) > COLUMNS:
        raise Rejected(400, "the first line of a CSV names its columns")
    twice = [name for n, name in enumerate(names) if name in names[:n]]
    if twice:
        raise Rejected(400, f"the CSV has the column {twice[0][:64]!a} twice")
    width = len(names)
    broken = {
        row: Problem("", f"has {len(fields)} fields where the header has {width}", f"a line of {width} fields")
        for row, fields in enumerate(rows)
        if len(fields) != width
    }
    blank = [""] * width
    whole = [blank if len(fields) != width else fields for fields in rows] if broken else rows
    columns = zip(*whole, strict=True) if whole else iter([()] * width)
    return len(rows), {name: _distinct(column) for name, column in zip(names, columns, strict=True)}, broken


def _distinct(column: tuple[str, ...]) -> Distinct:
    places: dict[str, int] = {}
    codes = [places.setdefault(value, len(places)) for value in column]
    return Distinct(np.array(codes, dtype=np.int32), tuple(places))


def as_csv(answered: Answered) -> bytes:
    """The answers as CSV, a line for each row; one without answer has its reasons as `error`, and blanks.

    An entity that a spreadsheet would take for a formula is written as it is: it is yours.
    """
    errors, without = answered.errors(), np.isnan(answered.probability).tolist()
    texts = [
        [each or "" for each in column.listed()] for column in (answered.decision, answered.risk, answered.version)
    ]
    thresholds = answered.thresholds().tolist()
    into = StringIO()
    writer = csv.writer(into, lineterminator="\r\n")
    writer.writerow(HEADER)
    for row, probability in enumerate(answered.probability.tolist()):
        entity = None if answered.entities is None else answered.entities[row]
        writer.writerow(
            (
                "" if without[row] else answered.id_of(row),
                entity,
                "" if math.isnan(probability) else repr(probability),
                texts[0][row],
                texts[1][row],
                "" if without[row] else repr(thresholds[row]),
                texts[2][row],
                " ".join(answered.flags.get(row, ())),
                errors.get(row, ""),
            )
        )
    return into.getvalue().encode()
