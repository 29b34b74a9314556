"""What a worker and the supervisor that started it say to each other: lines of JSON on its standard in- and output.

First comes the Work, then a line of News a second, and answers to what the worker asks meanwhile. A pipe, and no file:
a full disk never holds up a kill switch; and its end tells a worker that nobody looks after it any more.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

from mainstay.errors import MainstayError, Refused, Unavailable

DRAIN = 20
"""Seconds that requests in flight are given to end; Kubernetes kills after 30."""
EVERY = 1.0
"""Seconds between two looks at the ledger, and at most between two words of a worker."""
ANSWER = '{"noted"'
"""What a line begins with that is an answer, and no news."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker is told first. `shared_metrics` is the directory that several count in; empty for one alone."""

    settings: dict[str, Any]
    use_case: str
    listener: int
    open_: bool
    shared_metrics: str

    def line(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}) + "\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is read from the ledger, as of the last look.

    `text` is its JSON, as of the last time that it could be read, and `at` the monotonic time of that (one clock for
    all processes of a host); both None before the first. `trouble` is why it could not be read at the last look.
    """

    text: str | None = None
    at: float | None = None
    trouble: MainstayError | None = None


Name = Literal["split", "keys"]
News = dict[Name, Part]


def news_line(news: News, before: News) -> str:
    """The line that tells the news to a worker that was told those `before`: a text only where it is another one."""
    return json.dumps({name: _told(part, before.get(name)) for name, part in news.items()}) + "\n"


def _told(part: Part, before: Part | None) -> dict[str, Any]:
    made: dict[str, Any] = {"at": part.at}
    if before is None or part.text != before.text:
        made["text"] = part.text
    if part.trouble is not None:
        made["trouble"] = trouble_told(part.trouble)
    return made


def trouble_told(trouble: MainstayError) -> list[Any]:
    """An error as it goes over the wire."""
    return [isinstance(trouble, Unavailable), trouble.message, trouble.place]


def trouble_heard(told: list[Any]) -> MainstayError:
    """The error that came over the wire: broken machinery, or a refusal for whatever else it was."""
    unavailable, message, place = told
    return (Unavailable if unavailable else Refused)(message, place)


def read_news(line: str, before: News) -> News:
    """The news in a line, to whoever was told those `before`."""
    made: News = {}
    for name, told in json.loads(line).items():
        text = told["text"] if "text" in told else before[name].text
        trouble = trouble_heard(told["trouble"]) if "trouble" in told else None
        made[name] = Part(text, told["at"], trouble)
    return made
