"""Files that nobody prepared, each made by a function that writes it to a folder and says what its target is."""

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Columns = dict[str, list[Any]]
Make = Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Truth:
    """What decides in every file: two numbers and a word, and whether the row is positive."""

    n: int
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    word: list[str]
    positive: NDArray[np.bool_]


def truth(n: int, seed: int, share: float = 0.35) -> Truth:
    """n rows with about this share of positives, from which a model learns well and never perfectly."""
    made = np.random.default_rng(seed)
    first, second = made.normal(50, 12, n), made.gamma(2, 900, n)
    word = made.choice(["north", "south", "east"], n)
    pull = 0.16 * (first - 50) - 0.0012 * (second - 1800) + 1.6 * (word == "north")
    cut = np.quantile(pull + made.logistic(size=n), 1 - share)
    return Truth(n, first, second, word.tolist(), pull + made.logistic(size=n) > cut)


def told(positive: NDArray[np.bool_], yes: str, no: str) -> list[str]:
    return [yes if each else no for each in positive]


def days(n: int, form: str) -> list[str]:
    return [(date(2024, 1, 1) + timedelta(days=each * 7919 % 700)).strftime(form) for each in range(n)]


def write(path: Path, columns: Columns, mark: str = ",") -> None:
    """As spreadsheets write it: quotes only where they are needed."""

    def cell(value: Any) -> str:
        text = "" if value is None else str(value)
        doubled = text.replace('"', '""')
        return f'"{doubled}"' if any(each in text for each in (mark, '"', "\n")) else text

    rows = [mark.join(map(cell, row)) for row in [tuple(columns), *zip(*columns.values(), strict=True)]]
    data = ("\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def odd_names(at: Path) -> str:
    """Spaces, accents, quotes, reserved words and signs of YAML in names; the target is `y`, 0 and 1."""
    rows = truth(1500, 1)
    columns: Columns = {
        'Größe "in cm"': np.round(rows.first, 1).tolist(),
        " Umsatz €, netto": np.round(rows.second, 2).tolist(),
        "class": rows.word,
        "null": [n % 7 for n in range(rows.n)],
        "# {x}: *": [n % 3 for n in range(rows.n)],
        "été d'O'Brien": ["a" if n % 2 else "b" for n in range(rows.n)],
        "y": told(rows.positive, "1", "0"),
    }
    write(at / "Kündigungen (März) 2026.csv", columns)
    return "y"


def german(at: Path) -> str:
    """Semicolons, decimal commas, 1.234,5, dates as 31.12.2025, ja and nein, a byte order mark's worth of accents."""
    rows = truth(1500, 2)
    write(
        at / "kunden.csv",
        {
            "Kundennr": [f"{n:06d}" for n in range(rows.n)],
            "Alter": [f"{each:.1f}".replace(".", ",") for each in rows.first],
            "Umsatz": [f"{each:,.1f}".translate(str.maketrans(",.", ".,")) for each in rows.second],
            "Punkte": [f"{n * 37 % 9 + 1}.{n % 1000:03d}" for n in range(rows.n)],
            "Region": rows.word,
            "seit": days(rows.n, "%d.%m.%Y"),
            "Bar": [["ja", "nein"][n % 2] for n in range(rows.n)],
            "gekündigt": told(rows.positive, "ja", "nein"),
        },
        ";",
    )
    return "gekündigt"


def american(at: Path) -> str:
    """Thousands as 1,234.5 in quotes, dates as 12/31/2025, t and f."""
    rows = truth(1500, 3)
    write(
        at / "accounts.csv",
        {
            "Account Number": [4_000_000_000 + n * 7919 for n in range(rows.n)],
            "age": np.round(rows.first).astype(int).tolist(),
            "revenue": [f"{each:,.2f}" for each in rows.second],
            "visits": [f"{n * 7919 % 5000:,}" for n in range(rows.n)],
            "region": rows.word,
            "signed": days(rows.n, "%m/%d/%Y"),
            "default": told(rows.positive, "t", "f"),
        },
    )
    return "default"


def truths(at: Path) -> str:
    """Booleans in every spelling, in one column even; the target too."""
    rows = truth(1500, 4)
    made = random.Random(4)
    yes, no = ("Yes", "yes", "Y", "TRUE", "true", "1"), ("No", "no", "N", "FALSE", "false", "0")
    write(
        at / "truths.csv",
        {
            "score": np.round(rows.first, 2).tolist(),
            "spent": np.round(rows.second, 2).tolist(),
            "where": rows.word,
            "mixed": [made.choice(yes if n % 3 else no) for n in range(rows.n)],
            "tf": [made.choice("tf") for _ in range(rows.n)],
            "TF": [made.choice(["True", "False"]) for _ in range(rows.n)],
            "bit": [made.choice("01") for _ in range(rows.n)],
            "yn": [made.choice(["Y", "N", ""]) for _ in range(rows.n)],
            "onoff": [made.choice(["on", "off"]) for _ in range(rows.n)],
            "left": [made.choice(yes if each else no) for each in rows.positive],
        },
    )
    return "left"


def gaps(at: Path) -> str:
    """A third of the values missing, in several words; a constant, an empty and a nearly empty column."""
    rows = truth(1500, 5)
    words = ["", "NA", "N/A", "?", "-", "null", "NaN", "#N/A"]
    write(
        at / "gaps.csv",
        {
            "a": [words[n % 8] if n % 3 == 0 else round(each, 1) for n, each in enumerate(rows.first)],
            "b": [words[n % 8] if n % 3 == 1 else round(each, 1) for n, each in enumerate(rows.second)],
            "c": ["" if n % 3 == 2 else each for n, each in enumerate(rows.word)],
            "constant": ["EUR"] * rows.n,
            "one": [1] * rows.n,
            "empty": [""] * rows.n,
            "seldom": ["x" if n == 700 else "" for n in range(rows.n)],
            "churned": told(rows.positive, "true", "false"),
        },
    )
    return "churned"


def people(at: Path) -> str:
    """Names, mail, phones, addresses, gender, age and religion; ids and post codes with leading zeros; free text."""
    rows = truth(1500, 6)
    write(
        at / "people.csv",
        {
            "id": [f"{n * 7 % 1500:08d}" for n in range(rows.n)],
            "Full Name": [f"Ann{n} O'Neil" for n in range(rows.n)],
            "kontakt": [f"p{n}@example.org" for n in range(rows.n)],
            "Phone": [f"+49 30 {1_000_000 + n * 31}" for n in range(rows.n)],
            "street_address": [f"Main Street {n % 900}" for n in range(rows.n)],
            "zip": [f"{n * 17 % 80 * 101:05d}" for n in range(rows.n)],
            "Gender": [["F", "M"][n * 7 % 2] for n in range(rows.n)],
            "age": np.round(rows.first).astype(int).tolist(),
            "religion": [["a", "b", "c"][n % 3] for n in range(rows.n)],
            "spent": np.round(rows.second, 2).tolist(),
            "region": rows.word,
            "remark": [f"called {n * 31 % 1100} times\nand left" for n in range(rows.n)],
            "Churn": told(rows.positive, "Yes", "No"),
        },
    )
    return "Churn"


def leaking(seed: int) -> Make:
    """A reason for leaving, which only those have who left: most of them, or few."""

    def made(at: Path) -> str:
        rows = truth(1500, seed)
        give = random.Random(seed)
        often = 0.9 if seed % 2 else 0.3
        write(
            at / "leak.csv",
            {
                "x": np.round(rows.first, 2).tolist(),
                "z": np.round(rows.second, 2).tolist(),
                "where": rows.word,
                "closing code": [
                    "C" + str(n % 4) if p and give.random() < often else "" for n, p in enumerate(rows.positive)
                ],
                "left": told(rows.positive, "yes", "no"),
            },
        )
        return "left"

    return made


def twin(at: Path) -> str:
    """The answer under another name, with a little noise."""
    rows = truth(1500, 9)
    write(
        at / "twin.csv",
        {
            "x": np.round(rows.first, 2).tolist(),
            "z": np.round(rows.second, 2).tolist(),
            "where": rows.word,
            "risk score v2": np.round(rows.positive * 3 + np.random.default_rng(9).normal(0, 0.3, rows.n), 3).tolist(),
            "left": told(rows.positive, "yes", "no"),
        },
    )
    return "left"


def plain(n: int, seed: int, name: str, share: float = 0.35, more: int = 0, of: str = "yes no") -> Make:
    """Two numbers, a word, and `more` columns of noise."""

    def made(at: Path) -> str:
        rows = truth(n, seed, share)
        noise = np.random.default_rng(seed + 100)
        columns: Columns = {
            "x": np.round(rows.first, 2).tolist(),
            "z": np.round(rows.second, 2).tolist(),
            "w": rows.word,
        }
        for each in range(more):
            drawn = noise.normal(size=n).round(3) if each % 4 else noise.choice(list("abc"), n)
            columns[f"noise {each}"] = drawn.tolist()
        write(at / name, {**columns, "target": told(rows.positive, *of.split())})
        return "target"

    return made


def few(n: int, positives: int) -> Make:
    """n rows, the first few of them positive."""

    def made(at: Path) -> str:
        rows = truth(n, n)
        first = np.arange(n) < positives
        columns: Columns = {"x": np.round(rows.first, 2).tolist(), "w": rows.word, "target": told(first, "yes", "no")}
        write(at / "few.csv", columns)
        return "target"

    return made


PASSING: dict[str, Make] = {
    "odd names": odd_names,
    "decimal commas": german,
    "thousands": american,
    "truths": truths,
    "gaps": gaps,
    "people": people,
    "compressed": plain(1500, 10, "rows.csv.gz", of="left stayed"),
    "five percent": plain(6000, 11, "rare.csv", share=0.05, of="1 0"),
    "fifty thousand": plain(50_000, 12, "large.csv", of="true false"),
    "two hundred columns": plain(1000, 13, "wide.csv", more=197),
}
LEAKS: dict[str, Make] = {
    "filled for leavers": leaking(7),
    "filled for some leavers": leaking(8),
    "the answer again": twin,
}
SMALL: dict[str, Make] = {
    "three hundred": plain(300, 14, "small.csv", share=0.2),
    "sixty": plain(60, 15, "tiny.csv"),
}
TINY: dict[str, Make] = {
    "three rows": few(3, 1),
    "ten rows, one of a class": few(10, 1),
    "twenty rows, one of a class": few(20, 19),
    "two positives": few(200, 2),
    "three positives": few(1000, 3),
    "two negatives": few(100, 98),
}


@pytest.fixture(scope="session")
def strangers() -> dict[str, Make]:
    """What writes each file, by the file's name in words."""
    return {**PASSING, **LEAKS, **SMALL, **TINY}
