"""The real servers that promises are tested on, each started on first need and stopped at the end of the session."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest


class PostgresServer:
    """A PostgreSQL server of our own: a fresh cluster on a Unix socket, run by an ordinary user, never by root."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._home = Path(tempfile.mkdtemp(prefix="mainstay-postgres-"))
        self._user: str | None = None
        self._databases = 0
        if os.geteuid() == 0:
            self._user = _ordinary_user()
            shutil.chown(self._home, self._user)
        self._run("initdb", "--no-sync", "--auth=trust", "--username=mainstay", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        # Nothing here outlives the session, so nothing needs to survive a power cut.
        options = f"-k {self._home} -c listen_addresses= -c fsync=off -c max_connections=40"
        self._run("pg_ctl", "start", "--wait", "--silent", f"--log={self._home / 'log'}", f"--options={options}")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--silent", "--mode=fast")

    def fresh(self) -> str:
        """The address of a new, empty database."""
        self._databases += 1
        name = f"d{self._databases}"
        create = [str(self._programs / "psql"), "-qXh", str(self._home), "-U", "mainstay", "-d", "postgres"]
        subprocess.run([*create, "-c", f"CREATE DATABASE {name}"], check=True, capture_output=True, timeout=60)
        return f"postgresql://mainstay@/{name}?host={self._home}"

    def discard(self) -> None:
        subprocess.run(
            [str(self._programs / "pg_ctl"), "stop", "-D", str(self._home / "data"), "-m", "immediate", "-s"],
            user=self._user,
            cwd="/",
            capture_output=True,
            timeout=60,
        )
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        # Output goes to a file: a server that inherits a pipe would keep it open for ever.
        with tempfile.TemporaryFile() as said:
            command = [str(self._programs / program), "-D", str(self._home / "data"), *arguments]
            where = {"LC_ALL": "C", "PATH": os.defpath}
            done = subprocess.run(command, user=self._user, cwd="/", env=where, stdout=said, stderr=said, timeout=60)
            said.seek(0)
            assert done.returncode == 0, said.read().decode()


def _ordinary_user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _programs() -> Path | None:
    """Where initdb, pg_ctl and psql are: on the PATH, or where Debian keeps them."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wanted = ("initdb", "pg_ctl", "postgres", "psql")
    return next((place for place in places if all((place / name).exists() for name in wanted)), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    programs = _programs()
    if programs is None:
        missing = "PostgreSQL's initdb, pg_ctl and psql are not installed"
        if os.environ.get("MAINSTAY_REQUIRE_TOOLS") == "1":  # noqa: TID251  (a setting of the tests alone)
            pytest.fail(missing)
        pytest.skip(missing)
    server = PostgresServer(programs)
    try:
        server.start()
        yield server
    finally:
        server.discard()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty ledger, on each database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh()


class Bucketed(Protocol):
    """The object store that the tests above this folder share."""

    address: str

    def bucket(self) -> str: ...


@pytest.fixture
def bucket(object_store: Bucketed, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, in a process whose AWS_* variables lead to it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_store.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mainstay")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-tests")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return object_store.bucket()


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user may look into; what is below tmp_path is for its owner alone."""
    place = Path(tempfile.mkdtemp(prefix="mainstay-open-"))
    place.chmod(0o755)
    yield place
    for directory in [place, *(found for found in place.rglob("*") if found.is_dir())]:
        directory.chmod(0o755)
    shutil.rmtree(place)


@pytest.fixture
def ordinary_user() -> Callable[[], AbstractContextManager[None]]:
    """Root may write anywhere: a block under this runs without that right, whoever runs the tests."""

    @contextmanager
    def without_rights() -> Iterator[None]:
        before = os.geteuid()
        if before == 0:
            os.seteuid(pwd.getpwnam("nobody").pw_uid)
        try:
            yield
        finally:
            os.seteuid(before)

    return without_rights
