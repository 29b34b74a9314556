"""Public files over HTTP: only the bytes that were published are written, whatever the server does."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mainstay.data.fetch import PUBLIC, Public, fetch, named
from mainstay.errors import Conflict, NotFound, Refused, Unavailable

DATA = b"a,b\n" + b"1,2\n" * 40_000
TELCO = Path(__file__).parents[2] / "../shared/data/telco-customer-churn.csv"


class Handler(BaseHTTPRequestHandler):
    """Answers each path in its own way."""

    def do_GET(self) -> None:
        ways: dict[str, Callable[[], None]] = {
            "/right.csv": lambda: self.whole(DATA),
            "/wrong.csv": lambda: self.whole(DATA[:-2] + b"3\n"),
            "/shorter.csv": lambda: self.whole(DATA[:-4]),
            "/larger.csv": lambda: self.whole(DATA + b"1,2\n"),
            "/endless.csv": self.endless,
            "/cut.csv": lambda: self.whole(DATA, DATA[:5000]),
            "/unframed.csv": self.unframed,
            "/slow.csv": lambda: self.slowly(0.05),
            "/silent.csv": lambda: time.sleep(1.5),
            "/away.csv": self.away,
        }
        ways.get(self.path, lambda: self.send_error(404))()

    def whole(self, announced: bytes, sent: bytes | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(announced)))
        self.end_headers()
        self.wfile.write(announced if sent is None else sent)

    def unframed(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(DATA[:5000])

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(10_000):
                self.wfile.write(b"x" * 65536)
        except OSError:
            return

    def slowly(self, pause: float) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for at in range(0, len(DATA), 1000):
                self.wfile.write(DATA[at : at + 1000])
                time.sleep(pause)
        except OSError:
            return

    def away(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/right.csv")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that answers on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.daemon_threads = True
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()


def at(address: str) -> Public:
    return Public(address, hashlib.sha256(DATA).hexdigest(), len(DATA), "rows.csv")


def test_the_published_bytes_are_written_once(server: str, tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    assert fetch(at(f"{server}/right.csv"), target)
    assert target.read_bytes() == DATA
    assert not fetch(at(f"{server}/nowhere.csv"), target)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("wrong", Refused, "is not the file that was published"),
        ("shorter", Refused, "is not the file that was published"),
        ("unframed", Refused, "is not the file that was published"),
        ("larger", Refused, "more than the 160,004 bytes"),
        ("endless", Refused, "more than the 160,004 bytes"),
        ("away", Refused, "leads away from https"),
        ("cut", Unavailable, "the connection ended after 5,000 of 160004 bytes"),
        ("slow", Unavailable, "too slow"),
        ("silent", Unavailable, "no answer within 0.5 s"),
        ("nowhere", Unavailable, "the server answered 404"),
    ],
)
def test_anything_else_is_refused_or_unavailable_and_nothing_is_written(
    server: str, tmp_path: Path, name: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        fetch(at(f"{server}/{name}.csv"), tmp_path / "rows.csv", wait=0.5, patience=1.0)
    assert not list(tmp_path.iterdir())


def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is there a network"):
        fetch(at("https://nowhere.invalid/rows.csv"), tmp_path / "rows.csv")
    with pytest.raises(Unavailable, match="is there a network"):
        fetch(at("http://127.0.0.1:9/rows.csv"), tmp_path / "rows.csv")


def test_something_else_in_the_way_stays(server: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("mine")
    with pytest.raises(Conflict):
        fetch(at(f"{server}/right.csv"), tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == "mine"


def test_telco_is_the_file_that_everybody_uses() -> None:
    telco = named("telco")
    assert telco.address.startswith("https://")
    if not TELCO.is_file():
        pytest.skip("the Telco file is not beside this checkout")
    data = TELCO.read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (telco.sha256, telco.size)


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(NotFound, match="did you mean `telco`"):
        named("telko")
    assert list(PUBLIC) == ["telco"]
