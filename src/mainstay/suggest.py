"""The end of a refusal's sentence: what would have been right."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`; did you mean `tenure`?`, or what exists where nothing is close, or nothing where nothing exists."""
    names = sorted(known)
    close = get_close_matches(wrong, names, n=1, cutoff=0.6)
    if not close:
        folded = {name.casefold(): name for name in names}
        close = [folded[wrong.casefold()]] if wrong.casefold() in folded else []
    if close:
        return f"; did you mean `{close[0]}`?"
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f" (there are: {listed})" if names else ""
