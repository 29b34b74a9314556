"""Which columns look like personal data, protected attributes or leaks: guesses, for people to decide upon."""

import math
import re
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.measures.scores import roc_auc

KNOWS: Final = 0.95
"""From this ROC AUC on, a column alone predicts the target too well: the limit of the gate that will judge it."""
_BINS: Final = 50  # of a number, and values of a category, that are looked at
_TOLD: Final = 30  # rows that are filled for one class alone, from which on this is no accident
_PURE: Final = 0.98
_PERSONAL: Final = (
    r"e?mail|phone|telephone|mobile|fax|address|street|strasse|straße|adresse|telefon|handy|iban|ssn|passport|"
    r"(first|last|full|family|given|sur|middle|maiden|user)[ _-]?name|surname|vorname|nachname|nom|prenom|prénom|"
    r"birth[ _-]?(date|day)|date[ _-]?of[ _-]?birth|dob|geburtsdatum|social[ _-]?security|ip[ _-]?address"
)
_PROTECTED: Final = (
    r"gender|sex|age|age[ _-]?(group|band)|senior([ _-]?citizen)?|race|ethnic\w*|religion|nationality|citizenship|"
    r"marital([ _-]?status)?|married|disab\w*|pregnan\w*|orientation|geschlecht|alter|familienstand|konfession|"
    r"staatsangehörigkeit|sexe|âge|sexo|edad"
)
_MAIL: Final = r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"
_PHONE: Final = r"^(\+\d[\d ()/.-]{6,19}|\(?0?\d{1,5}\)?[/ -][\d ()/.-]{5,18})$"
_NAMES: Final = 30  # different texts from which on `name` is that of people rather than of a few plans


def words_of(name: str) -> str:
    """A column's name in lower case, words apart: `first name` of firstName, First_Name."""
    apart = re.sub(r"(?<=[a-zäöüß])(?=[A-Z])", " ", name)
    return re.sub(r"[\W_]+", " ", apart).strip().casefold()


def personal(name: str, texts: pa.Array) -> str | None:
    """Why a column of texts may be about a person, in words; None where nothing says so."""
    called = words_of(name)
    if re.search(rf"(^| )({_PERSONAL})( |$)", called):
        return "called like personal data"
    distinct = pc.unique(texts.drop_null())
    if len(distinct) > _NAMES and re.search(r"(^| )name$", called):
        return "called like personal data"
    if len(distinct) > _NAMES:
        for pattern, said in ((_MAIL, "looks like e-mail addresses"), (_PHONE, "looks like phone numbers")):
            alike = pc.match_substring_regex(distinct, pattern)
            if (pc.mean(alike.cast(pa.float64())).as_py() or 0) > 0.8:
                return said
    return None


def protected(name: str) -> bool:
    """Whether a column is called like an attribute that the law often protects."""
    return re.search(rf"(^| )({_PROTECTED})( |$)", words_of(name)) is not None


def leak(kind: Literal["number", "category"], values: pa.Array, positive: NDArray[np.bool_]) -> str | None:
    """Why a column may know the outcome, in words; None where nothing says so.

    `values` (n,) are float64 or strings, null where missing; `positive` (n,) marks the class that is predicted. Both
    classes must be there. The gates judge this again, on rows that nothing was learnt from.
    """
    filled = np.asarray(values.is_valid().to_numpy(zero_copy_only=False))
    for label, name in ((positive, "the positive class"), (~positive, "the other class")):
        if _TOLD <= filled.sum() < len(filled) and label.mean() < _PURE and label[filled].mean() >= _PURE:
            return f"filled for {name} alone"
    found = _alone(kind, values, filled, positive)
    return f"alone it predicts the target with a ROC AUC of {found:.3f}" if found >= KNOWS else None


def _alone(
    kind: Literal["number", "category"], values: pa.Array, filled: NDArray[np.bool_], positive: NDArray[np.bool_]
) -> float:
    """The ROC AUC of the share of positives in a row's bin, smoothed by ten rows of the base rate."""
    if kind == "number":
        numbers = np.asarray(values.fill_null(math.nan).to_numpy(zero_copy_only=False))
        known = numbers[filled]
        edges = np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS)) if known.size else np.empty(0)
        bins = np.where(filled, np.searchsorted(edges, numbers, "right") + 1, 0)
    else:
        coded = values.dictionary_encode()
        if len(coded.dictionary) > _BINS:
            return 0.5
        bins = np.asarray(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)).astype(np.int64) + 1
    rows, hits = np.bincount(bins), np.bincount(bins, weights=positive)
    share = (hits + 10 * positive.mean()) / (rows + 10)
    return roc_auc(positive, share[bins]).value


def listed(names: Sequence[str]) -> str:
    """Some names in a sentence: the first five."""
    return ", ".join(f"`{name}`" for name in names[:5]) + (", …" if len(names) > 5 else "")
