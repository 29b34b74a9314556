"""How MLflow is reached: its address, its silence, and what it means when it is down.

Only `training/track.py` and `registry/mirror.py` import MLflow; they hand it in here, so that nobody else pays for it.
"""

import os
import secrets
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from mainstay.errors import MainstayError, Misconfigured, Refused, Unavailable

_ALWAYS = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout may be one JSON object
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_UNLESS_SET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    # A server that drops every packet is noticed in 9 s, with one more try for one that is only restarting.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
RUN_TAG = "mainstay.run"
"""The tag of a tracked run that holds our own run id."""
BUNDLE = "bundle"
"""Where among a run's artifacts the files of its bundle lie."""


@contextmanager
def quiet() -> Iterator[None]:
    """Import or call MLflow in here: no telemetry, nothing on stdout, none of its warnings; ours elsewhere still show.

    MLflow reads its own settings from the environment and from nowhere else, so that is where they are put.
    """
    os.environ.update(_ALWAYS)  # noqa: TID251  (written for MLflow, never read by us)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)  # noqa: TID251  (likewise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Connection:
    """An MLflow server (`http://…`, `https://…`) or the embedded store (`sqlite:////ABSOLUTE/FILE`), not yet opened."""

    def __init__(self, url: str, load: Callable[[], Any]) -> None:
        """`load` imports MLflow, on first use. Misconfigured for an address that is neither."""
        scheme = url.partition("://")[0]
        self._database: Path | None = None
        if scheme == "sqlite" and (path := _file(url)) is not None:
            self._database = path.absolute()
        elif scheme not in ("http", "https") or not urlsplit(url).hostname:
            named = url or "an empty address"
            raise Misconfigured(f"MLflow cannot be at {named}: use sqlite:////ABSOLUTE/FILE or http://HOST:PORT")
        self._url = url
        self._load = load
        self._client: Any = None

    @property
    def place(self) -> str:
        """The address as people may see it, without credentials."""
        if self._database is not None:
            return str(self._database)
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def artifacts(self, name: str) -> str | None:
        """Where the embedded store keeps the artifacts of `name`: beside its database. A server knows for itself."""
        return None if self._database is None else (self._database.parent / "mlartifacts" / name).as_uri()

    @contextmanager
    def asking(self, doing: str) -> Iterator[Any]:
        """MLflow's client, for `doing` something.

        Unavailable while the store, the server or the disk fails; Refused where MLflow says that this can never be;
        Misconfigured where a package that it needs is not installed.
        """
        with quiet():
            try:
                mlflow = self._load()
            except ModuleNotFoundError as error:
                raise _absent(error) from error
            try:
                if self._client is None:
                    self._client = self._opened(mlflow)
                yield self._client
            except mlflow.MlflowException as error:
                raise self._told(error, doing, error.error_code == "INVALID_PARAMETER_VALUE") from error
            except (OSError, sqlite3.Error, SQLAlchemyError) as error:
                raise self._told(error, doing) from error
            except ModuleNotFoundError as error:  # of the store that a server keeps its artifacts in
                raise _absent(error) from error

    def _opened(self, mlflow: Any) -> Any:
        if self._database is not None:
            if not self._database.exists():
                _make(self._database, mlflow.store.db.utils)
            # MLflow tries for 100 s to open what is no database; this says so at once.
            probe = sqlite3.connect(self._database)
            try:
                probe.execute("SELECT count(*) FROM sqlite_master")
            finally:
                probe.close()
        return mlflow.MlflowClient(tracking_uri=self._url, registry_uri=self._url)

    def _told(self, error: BaseException, doing: str, refused: bool = False) -> MainstayError:
        words = f"while {doing}: {_reason(error)}"
        return (
            Refused(f"MLflow refused {words}", self.place)
            if refused
            else Unavailable(f"MLflow failed {words}", self.place)
        )


def _absent(error: ModuleNotFoundError) -> Misconfigured:
    return Misconfigured(f"MLflow needs the package {error.name}: install it, or mainstay[training] as a whole")


def _file(url: str) -> Path | None:
    """The file of an SQLite address, or None if it names none."""
    try:
        named = sqlalchemy.make_url(url)
    except SQLAlchemyError:
        return None
    alone = named.host is None and not named.query and named.database not in (None, "", ":memory:")
    return Path(str(named.database)) if alone else None


def _make(database: Path, schema: Any) -> None:
    """Put a new, empty store in place, whole or not at all, whoever else is making one.

    MLflow builds its tables by hundreds of small migrations, each waiting for the disk; here one wait at the end does.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    fresh = database.with_name(f".{database.name}.{secrets.token_hex(8)}")
    try:
        engine = schema.create_sqlalchemy_engine(
            sqlalchemy.URL.create("sqlite", database=str(fresh)).render_as_string()
        )
        sqlalchemy.event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA synchronous = OFF"))
        try:
            schema._initialize_tables(engine)
        finally:
            engine.dispose()
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        try:
            database.hardlink_to(fresh)
        except FileExistsError:
            pass  # somebody else's is as good
        except OSError:  # a file system without links
            fresh.replace(database)
    finally:
        fresh.unlink(missing_ok=True)


def _reason(error: BaseException) -> str:
    """What began it, in one line: MLflow wraps a refused connection four times."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    words = (getattr(error, "strerror", None) or "").lower() or str(error) or type(error).__name__
    return words.strip().splitlines()[0][:300]
