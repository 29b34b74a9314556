"""What a server says on stderr: one line a record, as text or as JSON, with the ids of what it was doing."""

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

Form = Literal["text", "json"]

_ASKED: ContextVar[tuple[str, str | None] | None] = ContextVar("asked", default=None)
"""The trace id, and the prediction id if there is one yet, of the request that this task or thread works on."""


def about(trace_id: str, prediction_id: str | None = None) -> None:
    """What is said from here on, in this task and what it starts, is about this request."""
    _ASKED.set((trace_id, prediction_id))


class AsText(logging.Formatter):
    """A record on one line, its traceback included: a line of a log is a record to whatever collects it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        told = " | ".join([f"{self._head(record)}{_ids(record)}", *_raised(record)])
        return told.replace("\r", " ").replace("\n", " | ")

    def _head(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        return self.formatMessage(record)


class AsJson(logging.Formatter):
    """A record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told: dict[str, object] = {
            "at": at,
            "level": record.levelname.lower(),
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        asked = _ASKED.get()
        if asked is not None:
            told["trace_id"], prediction_id = asked
            if prediction_id is not None:
                told["prediction_id"] = prediction_id
        raised = list(_raised(record))
        if raised:
            told["raised"] = raised
        return json.dumps(told, ensure_ascii=False)


def _ids(record: logging.LogRecord) -> str:
    asked = _ASKED.get()
    if asked is None:
        return ""
    trace_id, prediction_id = asked
    return f" [trace {trace_id}]" if prediction_id is None else f" [trace {trace_id}, prediction {prediction_id}]"


def _raised(record: logging.LogRecord) -> Iterator[str]:
    """An exception and those behind it, the last first, each on a line.

    Its message stays out while a request is worked on: whoever raised it may have put in it what was sent.
    """
    error = record.exc_info[1] if record.exc_info else None
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = traceback.extract_tb(error.__traceback__)
        where = ", ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
        words = "" if _ASKED.get() is not None else f": {error}"
        yield f"{type(error).__name__}{words} ({where})"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def say_on_stderr(form: Form = "text") -> None:
    """Send what this package says, and what others warn of, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson() if form == "json" else AsText())
    for name, level in (("mainstay", logging.INFO), ("uvicorn", logging.WARNING), ("opentelemetry", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
    asyncio_ = logging.getLogger("asyncio")
    asyncio_.handlers = [handler]
    asyncio_.propagate = False


def saying(form: Form, otherwise: Callable[[str], None]) -> Callable[[str], None]:
    """Says words to people: on lines of JSON like everything else where that is asked for."""
    if form == "text":
        return otherwise
    say_on_stderr(form)
    return logging.getLogger("mainstay.serve").warning
