"""The door over real HTTP: keys that are taken back, a dead ledger, TLS, and whatever bytes come."""

import json
import os
import random
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mainstay.adapters.blobs import Blobs
from mainstay.adapters.signing import Signer
from mainstay.errors import Refused
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import API_KEYS, SPLITS
from mainstay.nouns import ApiKey, Arm, Holdout, Split
from mainstay.registry.configured import store_configuration
from mainstay.registry.manifest import MANIFEST, SIGNATURE, Manifest, document
from mainstay.scoring.bundle import Bundle, candidate_id, stored, to_files
from mainstay.serving.main import serve
from mainstay.settings import Settings
from mainstay.usecase_file import loads
from mainstay.wiring import platform

START = """
import sys
from pathlib import Path
from mainstay.serving import main
from mainstay.settings import Settings
settings = Settings(home=Path(sys.argv[1]), tls_cert=sys.argv[4], tls_key=sys.argv[5])
main.serve(settings, "tiny", "127.0.0.1", 0, int(sys.argv[2]), sys.argv[3] == "open", lambda words: None)
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY = b'{"features": {"age": 40, "spent": 120.5, "plan": "basic"}}'
ASK = {"content-type": "application/json"}


YAML = """
schema: 1
name: tiny
source: tiny.csv
label: {column: left, positive: "Yes"}
contract:
  columns:
    age: {type: integer}
    left: {type: category, values: ["No", "Yes"]}
serving: {unseen_category: refuse}
"""


@pytest.fixture
def home(tmp_path: Path, tiny_keys: Path, tiny_signer: Signer, tiny_bundle: Bundle) -> Path:
    """The home of a real platform: 1.0.0 signed, on the shelf and live."""
    opened = platform(Settings(home=tmp_path / "home"))
    shutil.copytree(tiny_keys, opened.settings.keys)
    shelve("1.0.0", tiny_bundle, opened.blobs, tiny_signer)
    strict = loads(YAML)
    split = Split(1, "tiny", (Arm("1.0.0", 1.0),), store_configuration(strict, opened.blobs))
    with opened.ledger:
        opened.ledger.write("tiny", Entry(SPLITS, "tiny", split), at=NOW, actor="user:ada", reason="the first")
    return opened.settings.home


def shelve(version: str, bundle: Bundle, blobs: Blobs, signer: Signer) -> None:
    """Put a signed version on the shelf."""
    files = to_files(bundle)
    manifest = Manifest(
        "tiny",
        version,
        candidate_id(files),
        stored(files),
        bundle.decide.classes,
        bundle.encoder.inputs,
        "tiny_v1",
        "ds_0",
        Holdout("tiny", 0.2),
        "run",
        "recipe",
        {"version": "0.1.0"},
        {},
        None,
        1,
        signer.key_id,
        NOW,
    )
    data = document(manifest)
    for name, content in {**files, MANIFEST: data, SIGNATURE: signer.sign(data)}.items():
        blobs.put(f"versions/tiny/{version}/{name}", content)


@contextmanager
def running(home: Path, workers: int = 1, open_: bool = False, tls: tuple[str, str] = ("", "")) -> Iterator[str]:
    """The address of a server, which must end well and never have met a defect."""
    command = [sys.executable, "-c", START, str(home), str(workers), "open" if open_ else "", *tls]
    with (home / "server.log").open("w") as errors:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        assert line, (home / "server.log").read_text()
        yield line.split()[0]
        assert server.poll() is None
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    assert server.returncode == 0
    assert "Traceback" not in (home / "server.log").read_text()
    assert "a defect" not in (home / "server.log").read_text()


def write(home: Path, secret: str, after: int = 0, **given: Any) -> None:
    """The next fact about the key of that secret."""
    fields = {"scopes": ("predict",), "created": NOW, **given}
    key = ApiKey(f"key_{secret}", secret, sha256(secret.encode()).hexdigest(), **fields)
    with platform(Settings(home=home)).ledger as ledger:
        ledger.write("tiny", Entry(API_KEYS, key.id, key, after), at=NOW, actor="user:ada", reason="a test")


def ask(address: str, secret: str, path: str = "/predict", **options: Any) -> httpx.Response:
    headers = {**ASK, "authorization": f"Bearer {secret}"}
    if path == "/predict":
        return httpx.post(address + path, content=BODY, headers=headers, **options)
    return httpx.get(address + path, headers=headers, **options)


def test_a_revoked_key_is_refused_by_every_worker_within_three_seconds(home: Path) -> None:
    write(home, "shop")
    write(home, "watch", scopes=("read",))
    write(home, "slow", rate=0.001, burst=1)
    with running(home, workers=2) as address:
        assert {ask(address, "shop").status_code for _ in range(20)} == {200}
        assert ask(address, "shop", "/metrics").status_code == 403
        assert ask(address, "watch", "/metrics").status_code == 200
        assert ask(address, "watch").json()["type"] == "urn:mainstay:problem:missing-scope"
        assert httpx.get(f"{address}/health").status_code == 200
        assert httpx.post(f"{address}/predict", content=BODY, headers=ASK).status_code == 401
        assert httpx.get(f"{address}/nothing").status_code == 401
        assert ask(address, "watch", "/nothing").status_code == 404
        # A connection for each request, so both workers are asked; each grants the rate once.
        slow = [ask(address, "slow") for _ in range(30)]
        assert 1 <= [each.status_code for each in slow].count(200) <= 2
        assert slow[-1].status_code == 429
        assert "each replica" in slow[-1].json()["detail"]
        write(home, "shop", after=1, revoked=NOW)
        began = time.monotonic()
        while ask(address, "shop").status_code == 200 and time.monotonic() - began < 3:
            time.sleep(0.05)
        time.sleep(max(0.0, 3 - (time.monotonic() - began)))
        assert {ask(address, "shop").status_code for _ in range(40)} == {401}


def test_a_dead_ledger_locks_nobody_out(home: Path) -> None:
    write(home, "shop")
    ledger = home / "ledger.db"
    with running(home) as address:
        assert ask(address, "shop").status_code == 200
        for each in home.glob("ledger.db*"):
            each.rename(each.with_name(f"gone-{each.name}"))
        ledger.mkdir()  # nothing can be opened there, and nothing made
        time.sleep(2.5)
        assert ask(address, "shop").status_code == 200
        assert ask(address, "other").status_code == 401
    # A restart without it: the key is known; what answers is not the door's to keep.
    with running(home) as address:
        assert ask(address, "shop").status_code in (200, 503)
        assert "no version is ready" in ask(address, "shop").text or ask(address, "shop").status_code == 200
        assert ask(address, "other").status_code == 401


def test_a_server_on_which_every_key_has_ended_does_not_start(home: Path) -> None:
    write(home, "old", expires=NOW + timedelta(seconds=1))
    with pytest.raises(Refused, match="there are no API keys"):
        serve(Settings(home=home, now=NOW + timedelta(days=1)), "tiny", "127.0.0.1", 0, 1, False, print)


def test_answers_come_over_tls_alone_where_there_is_a_certificate(home: Path, tmp_path: Path) -> None:
    write(home, "shop")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2099, 1, 1))  # noqa: DTZ001  (UTC there)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    cert, private = tmp_path / "tls.crt", tmp_path / "tls.key"
    cert.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*form))
    with running(home, tls=(str(cert), str(private))) as address:
        assert address.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(cert))
        secure = address.replace("127.0.0.1", "localhost")
        assert ask(secure, "shop", verify=trusting).status_code == 200
        with pytest.raises(httpx.HTTPError):
            ask(address.replace("https", "http"), "shop")


def connect(address: str) -> socket.socket:
    host, _, port = address.partition("//")[2].partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def told(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    made = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            made += data
    return made


def request(body: bytes = BODY, *more: bytes, path: bytes = b"/predict") -> bytes:
    head = [b"POST %s HTTP/1.1" % path, b"Host: here", b"Content-Type: application/json", *more]
    if not any(each.lower().startswith((b"content-length", b"transfer-encoding")) for each in more):
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


HOSTILE = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 50,
    "zeros": b"\0" * 1000,
    "no version": b"GET /\r\n\r\n",
    "two lengths": request(BODY, b"Content-Length: 5", b"Content-Length: 58"),
    "length and chunks": request(BODY, b"Content-Length: 58", b"Transfer-Encoding: chunked"),
    "negative length": request(BODY, b"Content-Length: -1"),
    "bad chunk": request(b"zz\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "space before the colon": b"GET /health HTTP/1.1\r\nHost : here\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: here\r\n\r\n",
    "bytes in a header": request(BODY, b"Authorization: Bearer \xff\xfe", b"Connection: close"),
    "many headers": request(BODY, *(b"X-%d: %s" % (each, b"y" * 100) for each in range(2000)), b"Connection: close"),
}
BODIES = {
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "NaN": b'{"features": {"age": NaN}}',
    "infinite": b'{"features": {"age": 40, "spent": 1e999, "plan": "basic"}}',
    "digits": b'{"features": {"age": ' + b"9" * 100_000 + b"}}",
    "twice": b'{"features": {"age": 1, "age": 2}}',
    "surrogate": b'{"features": {"plan": "\\ud800"}}',
    "UTF-16": '{"features": {}}'.encode("utf-16"),
    "not UTF-8": b'{"features": {"plan": "\xff"}}',
    "mark": b"\xef\xbb\xbf{}",
    "empty": b"",
    "not an object": b"[1]",
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_whatever_bytes_come_nothing_falls(home: Path) -> None:
    noise = random.Random(7)
    with running(home, open_=True) as address:
        for name, data in HOSTILE.items():
            with connect(address) as connection:
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                answer = told(connection)
            assert not answer.startswith(b"HTTP/1.1 5"), name
        for name, body in BODIES.items():
            refused = httpx.post(f"{address}/predict", content=body, headers=ASK)
            assert refused.status_code in (400, 422), name
            assert refused.headers["content-type"] == "application/problem+json", name
        assert httpx.post(f"{address}/predict", content=b" " * 1_000_001, headers=ASK).status_code == 413
        assert (
            httpx.post(f"{address}/predict", content=BODY, headers={**ASK, "content-encoding": "gzip"}).status_code
            == 415
        )
        assert httpx.post(f"{address}/predict", content=BODY, headers={**ASK, "accept": "text/html"}).status_code == 406
        whole = request(BODY, b"Connection: close")
        for _ in range(300):
            cut = bytearray(whole[: noise.randrange(1, len(whole) + 1)])
            for _ in range(noise.randrange(0, 6)):
                cut[noise.randrange(len(cut))] = noise.randrange(256)
            with connect(address) as connection:
                connection.sendall(cut)
                if noise.random() < 0.5:
                    connection.shutdown(socket.SHUT_WR)
                    continue
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
        assert httpx.post(f"{address}/predict", content=BODY, headers=ASK).status_code == 200
        assert 'status="500"' not in httpx.get(f"{address}/metrics").text


def test_who_says_little_or_says_no_end_is_cut_off(home: Path) -> None:
    with running(home, open_=True) as address:
        pid = int(Path("/proc/self/task", str(os.getpid()), "children").read_text().split()[-1])
        before = resident(pid)
        with connect(address) as endless:
            with suppress(BrokenPipeError, ConnectionResetError):
                endless.sendall(b"GET /health HTTP/1.1\r\n")
                for number in range(200_000):
                    endless.sendall(b"X-%d: %s\r\n" % (number, b"y" * 1000))
            told(endless)
        assert number < 100_000
        assert resident(pid) - before < 30_000_000
        silent, partial, dripping, after = (connect(address) for _ in range(4))
        began = time.monotonic()
        partial.sendall(b"POST /predict HTTP/1.1\r\nHost: he")
        dripping.sendall(b"GET /health HTTP/1.1\r\n")
        after.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n\r\n")  # answered, and then held by a lone newline
        waiting, ended = {silent, partial, dripping, after}, dict[socket.socket, bytes]()
        while waiting and time.monotonic() - began < 16:
            with suppress(OSError):
                dripping.sendall(b"X: y\r\n")
            assert httpx.get(f"{address}/health").status_code == 200
            for each in select.select(list(waiting), [], [], 0.5)[0]:
                try:
                    data = each.recv(65536)
                except ConnectionResetError:
                    data = b""
                ended[each] = ended.get(each, b"") + data
                if not data:
                    waiting.discard(each)
        assert not waiting
        assert all(b" 408 " in ended[each] for each in (silent, partial, dripping))
        told_as = json.loads(ended[partial].partition(b"\r\n\r\n")[2])
        assert told_as["type"] == "urn:mainstay:problem:too-slow"
        for each in (silent, partial, dripping, after):
            each.close()


def resident(pid: int) -> int:
    """Bytes that a process holds in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
