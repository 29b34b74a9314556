"""What every store of blobs promises. A new one joins by being added to the fixture."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from mainstay.adapters.blobs import BlobDirectory, Blobs, blobs_from
from mainstay.errors import Misconfigured, NotFound, Refused, Unavailable

OrdinaryUser = Callable[[], AbstractContextManager[None]]


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.s3)])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "s3":
        return blobs_from(f"s3://{request.getfixturevalue('bucket')}/home/blobs")
    return blobs_from((tmp_path / "blobs").as_uri())


# Every store


@pytest.mark.parametrize("data", [b"", b"\0\xff" * 1000, b"one"])
def test_what_was_put_is_got(blobs: Blobs, data: bytes) -> None:
    blobs.put("datasets/ds_1/rows.parquet", data)
    assert blobs.get("datasets/ds_1/rows.parquet") == data
    assert blobs.exists("datasets/ds_1/rows.parquet")


def test_what_was_never_put_is_not_found(blobs: Blobs) -> None:
    with pytest.raises(NotFound, match="there is no blob bundles/none"):
        blobs.get("bundles/none")
    assert not blobs.exists("bundles/none")
    assert blobs.names() == []


def test_a_part_of_a_name_is_no_blob(blobs: Blobs) -> None:
    blobs.put("a/b/c", b"1")
    assert not blobs.exists("a/b")
    assert not blobs.exists("a/b/c/d")
    with pytest.raises(NotFound):
        blobs.get("a/b")
    with pytest.raises(NotFound):
        blobs.get("a/b/c/d")


def test_putting_the_same_twice_is_the_same_as_once(blobs: Blobs) -> None:
    blobs.put("a", b"1")
    blobs.put("a", b"1")
    assert (blobs.get("a"), blobs.names()) == (b"1", ["a"])


def test_other_bytes_replace_what_was_there(blobs: Blobs) -> None:
    blobs.put("a", b"a long first version")
    blobs.put("a", b"2")
    assert blobs.get("a") == b"2"


def test_what_was_removed_is_gone_and_its_neighbours_stay(blobs: Blobs) -> None:
    blobs.put("a/b", b"1")
    blobs.put("a/c", b"2")
    for _ in range(2):
        blobs.remove("a/b")
    blobs.remove("a")
    blobs.remove("a/c/d")
    assert blobs.names() == ["a/c"]
    assert not blobs.exists("a/b")
    blobs.put("a/b", b"3")
    assert blobs.get("a/b") == b"3"


def test_names_come_in_order_and_by_prefix(blobs: Blobs) -> None:
    for name in ("b/2", "b/10", "a", "b/c/1", "bb"):
        blobs.put(name, b"")
    assert blobs.names() == ["a", "b/10", "b/2", "b/c/1", "bb"]
    assert blobs.names("b") == ["b/10", "b/2", "b/c/1", "bb"]
    assert blobs.names("b/") == ["b/10", "b/2", "b/c/1"]
    assert blobs.names("b/1") == ["b/10"]
    assert blobs.names("b/c/1") == ["b/c/1"]
    assert blobs.names("z/") == []


@pytest.mark.parametrize("name", ["Kündigung/größe.json", "a b", "(a)&b=c#d?e%20f", "x" * 200])
def test_unusual_names_are_kept_as_they_are(blobs: Blobs, name: str) -> None:
    blobs.put(name, b"1")
    assert blobs.names() == [name]
    assert blobs.get(name) == b"1"


HOSTILE = [
    "",
    "/etc/passwd",
    "..",
    "a/../../b",
    "../b",
    "a//b",
    "a/",
    "./a",
    ".hidden",
    "a\0b",
    "a\nb",
    "a\\b",
    "a\ud800",
]


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 201, "/".join(["x" * 100] * 10)])
def test_a_name_that_leads_elsewhere_is_refused(blobs: Blobs, name: str) -> None:
    for use in (
        lambda: blobs.put(name, b"1"),
        lambda: blobs.get(name),
        lambda: blobs.exists(name),
        lambda: blobs.remove(name),
    ):
        with pytest.raises(Refused, match="no name for a blob"):
            use()
    assert blobs.names() == []


@pytest.mark.parametrize("prefix", ["../", "/", "/etc/", "a//", ".hidden/", "a/../"])
def test_a_prefix_that_no_name_has_finds_nothing(blobs: Blobs, prefix: str) -> None:
    blobs.put("a/b", b"1")
    assert blobs.names(prefix) == []


def test_writers_at_once_leave_one_whole_blob(blobs: Blobs) -> None:
    versions = [bytes([number]) * 200_000 for number in range(4)]
    blobs.put("shared/blob", versions[0])
    seen: set[bytes] = set()

    def write(data: bytes) -> None:
        for _ in range(5):
            blobs.put("shared/blob", data)
            seen.add(blobs.get("shared/blob"))

    threads = [threading.Thread(target=write, args=(data,)) for data in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen <= set(versions)
    assert blobs.names() == ["shared/blob"]


# The embedded directory


def test_nothing_lies_under_another_blobs_name(tmp_path: Path) -> None:
    blobs = BlobDirectory(tmp_path)
    blobs.put("a/b", b"1")
    for name in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(Refused, match="cannot lie under another blob's name"):
            blobs.put(name, b"2")
    assert blobs.names() == ["a/b"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b"], "no temporary file is left"


def test_a_half_written_blob_of_a_process_that_died_is_never_listed(tmp_path: Path) -> None:
    blobs = BlobDirectory(tmp_path)
    blobs.put("a", b"1")
    (tmp_path / ".b.0123456789abcdef").write_bytes(b"half")
    assert blobs.names() == ["a"]


FULL = """
import resource, sys
from pathlib import Path
from mainstay.adapters.blobs import BlobDirectory
from mainstay.errors import Unavailable

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    BlobDirectory(Path(sys.argv[1])).put("datasets/rows.parquet", bytes(1_000_000))
except Unavailable as error:
    print(error)
"""


def test_a_full_disk_is_unavailable_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    # A limit on the size of files stands in for a small disk: it needs no rights.
    blobs = BlobDirectory(tmp_path)
    blobs.put("datasets/rows.parquet", b"before")
    source = str(Path(sys.modules[BlobDirectory.__module__].__file__ or "").parents[2])
    environment = {"PYTHONPATH": source, "PATH": os.defpath}
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], env=environment, capture_output=True, timeout=60)
    assert done.stdout.decode() == f"{tmp_path}: disk full while writing datasets/rows.parquet\n", done.stderr
    assert blobs.get("datasets/rows.parquet") == b"before"
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["rows.parquet"]


def test_a_directory_without_rights_is_unavailable(open_place: Path, ordinary_user: OrdinaryUser) -> None:
    blobs = BlobDirectory(open_place)
    blobs.put("open/a", b"1")
    blobs.put("closed/a", b"1")
    open_place.chmod(0o555)
    (open_place / "closed").chmod(0o000)
    with ordinary_user():
        with pytest.raises(Unavailable, match="permission denied while writing new/a"):
            blobs.put("new/a", b"1")
        with pytest.raises(Unavailable, match="permission denied while reading closed/a"):
            blobs.get("closed/a")
        with pytest.raises(Unavailable, match="permission denied while reading closed/a"):
            blobs.exists("closed/a")
        with pytest.raises(Unavailable, match="permission denied while listing everything"):
            blobs.names()
        assert blobs.get("open/a") == b"1"


def test_a_file_where_the_directory_should_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    with pytest.raises(Unavailable, match="while writing a"):
        BlobDirectory(tmp_path / "blobs").put("a", b"1")


# The object store


@pytest.mark.s3
def test_two_prefixes_of_a_bucket_know_nothing_of_each_other(bucket: str) -> None:
    one, other = blobs_from(f"s3://{bucket}/one"), blobs_from(f"s3://{bucket}/o")
    one.put("a", b"1")
    assert (other.names(), other.exists("ne/a"), blobs_from(f"s3://{bucket}").names()) == ([], False, ["one/a"])


@pytest.mark.s3
def test_a_store_that_refuses_us_is_unavailable(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="the store answers NoSuchBucket while writing a"):
        blobs_from("s3://there-is-none/home").put("a", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    for use in (lambda: blobs_from(f"s3://{bucket}").put("a", b"1"), lambda: blobs_from(f"s3://{bucket}").names()):
        with pytest.raises(Unavailable, match="the store answers SignatureDoesNotMatch"):
            use()


def test_a_store_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3")
    for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="the store answers EndpointConnectionError while reading a"):
        blobs_from("s3://bucket/home").get("a")


# Addresses


def test_a_directory_with_a_space_in_its_name_is_found_by_its_address(tmp_path: Path) -> None:
    blobs_from((tmp_path / "my blobs").as_uri()).put("a", b"1")
    assert (tmp_path / "my blobs" / "a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "no address for blobs: use file:///"),
        ("gopher://x", "no blobs are kept at gopher: use file:///"),
        ("/var/blobs", "no blobs are kept at /var/blobs: use file:///"),
        ("file://blobs", "names a host"),
        ("file://blobs/more", "names a host"),
        ("file:///blobs?x=1", "holds a [?] or #"),
        ("s3://", "are at s3://BUCKET/PREFIX"),
        ("s3:///prefix", "are at s3://BUCKET/PREFIX"),
        ("s3://key:secret@bucket/prefix", "AWS_[*] variables hold its keys"),
        ("s3://bucket/a/../b", "are at s3://BUCKET/PREFIX"),
    ],
)
def test_an_address_that_is_none_is_misconfigured(url: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        blobs_from(url)
