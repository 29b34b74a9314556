"""The door over real HTTP: keys that are taken back, a dead ledger, TLS, and whatever bytes come."""

import json
import os
import random
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mainstay.errors import Refused
from mainstay.serving.main import serve
from mainstay.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY = b'{"features": {"age": 40, "spent": 120.5, "plan": "basic"}}'
ASK = {"content-type": "application/json"}


Served = Callable[..., AbstractContextManager[str]]


def ask(address: str, secret: str, path: str = "/predict", **options: Any) -> httpx.Response:
    headers = {**ASK, "authorization": f"Bearer {secret}"}
    if path == "/predict":
        return httpx.post(address + path, content=BODY, headers=headers, **options)
    return httpx.get(address + path, headers=headers, **options)


def test_a_revoked_key_is_refused_by_every_worker_within_three_seconds(
    home: Path, served: Served, give_key: Callable[..., None]
) -> None:
    give_key(home, "shop")
    give_key(home, "watch", scopes=("read",))
    give_key(home, "slow", rate=0.001, burst=1)
    with served(home, workers=2) as address:
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
        give_key(home, "shop", after=1, revoked=NOW)
        began = time.monotonic()
        while ask(address, "shop").status_code == 200 and time.monotonic() - began < 3:
            time.sleep(0.05)
        time.sleep(max(0.0, 3 - (time.monotonic() - began)))
        assert {ask(address, "shop").status_code for _ in range(40)} == {401}


def test_a_dead_ledger_locks_nobody_out(home: Path, served: Served, give_key: Callable[..., None]) -> None:
    give_key(home, "shop")
    ledger = home / "ledger.db"
    with served(home) as address:
        assert ask(address, "shop").status_code == 200
        for each in home.glob("ledger.db*"):
            each.rename(each.with_name(f"gone-{each.name}"))
        ledger.mkdir()  # nothing can be opened there, and nothing made
        time.sleep(2.5)
        assert ask(address, "shop").status_code == 200
        assert ask(address, "other").status_code == 401
    # A restart without it: the keys and the split are kept in the home, and what answers is on the shelf.
    with served(home) as address:
        answer = ask(address, "shop")
        assert (answer.status_code, answer.json()["version"]) == (200, "1.0.0")
        assert httpx.get(f"{address}/health").json()["status"] == "degraded"
        assert ask(address, "other").status_code == 401


def test_a_server_on_which_every_key_has_ended_does_not_start(home: Path, give_key: Callable[..., None]) -> None:
    give_key(home, "old", expires=NOW + timedelta(seconds=1))
    with pytest.raises(Refused, match="there are no API keys"):
        serve(Settings(home=home, now=NOW + timedelta(days=1)), "tiny", "127.0.0.1", 0, 1, False, print)


def test_answers_come_over_tls_alone_where_there_is_a_certificate(
    home: Path, tmp_path: Path, served: Served, give_key: Callable[..., None]
) -> None:
    give_key(home, "shop")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2099, 1, 1))  # noqa: DTZ001  (UTC there)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    cert, private = tmp_path / "tls.crt", tmp_path / "tls.key"
    cert.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*form))
    with served(home, tls=(str(cert), str(private))) as address:
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
def test_whatever_bytes_come_nothing_falls(home: Path, served: Served) -> None:
    noise = random.Random(7)
    with served(home, open_=True) as address:
        for name, data in HOSTILE.items():
            with connect(address) as connection:
                with suppress(OSError):  # it may have been shut out by then
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


def test_who_says_little_or_says_no_end_is_cut_off(home: Path, served: Served) -> None:
    with served(home, open_=True) as address:
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
