"""The settings of a process: `MAINSTAY_*`, read once at the doors, typed and frozen."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mainstay.errors import Misconfigured, Unavailable
from mainstay.nouns import Instant


class Settings(BaseSettings):
    """Where things are kept. Everything has an embedded default under `home`."""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(Path(".mainstay"), description="the directory of all state")
    ledger: str = Field("", description="SQLite or PostgreSQL URL of the ledger; `ledger.db` in the home by default")
    blobs: str = Field("", description="URL of the blob store; `blobs/` in the home by default")
    mlflow: str = Field("", description="MLflow tracking URI; `mlflow.db` in the home by default")
    signing: str = Field("", description="URL of the signing key; `keys/signing.key` in the home by default")
    online_url: str = Field(
        "", description="URL of the online store: SQLite, or `redis://`; `feast/online.db` in the home by default"
    )
    segments: str = Field("", description="URL of the write-ahead segments; `segments/` in the home by default")
    fsync: Literal["off", "group"] = Field(
        "off", description="`group`: answer once the log survives power loss too, not only the death of the process"
    )
    tls_cert: str = Field("", description="certificate chain (PEM file) with which `serve` answers over TLS")
    tls_key: str = Field("", description="the private key (PEM file) of that certificate")
    oidc_jwks: str = Field("", description="https address of an identity provider's keys; none: no bearer tokens")
    oidc_issuer: str = Field("", description="the issuer whose tokens are believed")
    oidc_audience: str = Field("", description="the audience that a token must name")
    oidc_rate: float = Field(0.0, ge=0, le=1e9, description="requests a second of a tokens' subject; 0: any number")
    oidc_burst: int = Field(100, ge=1, le=1_000_000_000, description="requests at once of a tokens' subject")
    otlp_endpoint: str = Field("", description="URL of an OpenTelemetry collector (OTLP/HTTP) that takes traces")
    otlp_share: float = Field(
        0.01, ge=0, le=1, description="the share of requests that are traced, of those whose caller did not choose"
    )
    logs: Literal["text", "json"] = Field("text", description="how servers log to stderr, one record a line")
    now: Instant | None = Field(None, description="a simulated clock: the time it always is, for replays and tests")

    @property
    def ledger_url(self) -> str:
        return self.ledger or self._database("ledger.db")

    @property
    def blobs_url(self) -> str:
        return self.blobs or (self.home.absolute() / "blobs").as_uri()

    @property
    def mlflow_url(self) -> str:
        return self.mlflow or self._database("mlflow.db")

    @property
    def signing_url(self) -> str:
        return self.signing or (self.home.absolute() / "keys" / "signing.key").as_uri()

    @property
    def segments_url(self) -> str:
        return self.segments or (self.home.absolute() / "segments").as_uri().replace("file:", "spool:", 1)

    @property
    def online(self) -> str:
        """The address of the online store."""
        return self.online_url or f"sqlite:///{quote(str(self.feast.absolute() / 'online.db'))}"

    @property
    def feast(self) -> Path:
        """Where Feast keeps what it keeps in files."""
        return self.home / "feast"

    @property
    def keys(self) -> Path:
        """The directory of the trusted public keys and of the pseudonym key."""
        return self.home / "keys"

    def _database(self, name: str) -> str:
        # SQLAlchemy unquotes the path, and takes what follows a `?` for options; nothing else in it means anything.
        path = str(self.home.absolute() / name).replace("%", "%25").replace("?", "%3F")
        return f"sqlite:///{path}"

    def clock(self) -> datetime:
        """The time, UTC: the simulated one where there is one."""
        return self.now or datetime.now(UTC)  # noqa: TID251  (this is the door that reads the clock)


def read_settings() -> Settings:
    """The settings in the environment. Misconfigured, by name, where one cannot be meant."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "MAINSTAY_" + "_".join(str(part) for part in first["loc"]).upper()
        wanted = "a time with its zone, as in 2026-01-01T00:00:00Z" if name == "MAINSTAY_NOW" else first["msg"]
        raise Misconfigured(f"{wanted}, not {first['input']!r}", name) from error


def make_home(settings: Settings) -> None:
    """Have the home be there. Misconfigured where it cannot be a directory, Unavailable where it cannot be made."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise Misconfigured("a file is in the way; MAINSTAY_HOME names a directory", str(settings.home)) from error
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise Unavailable(f"the home cannot be made ({words})", str(settings.home)) from error
