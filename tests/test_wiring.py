"""Settings in, platform out; keys made once."""

from pathlib import Path

import pytest

from mainstay.errors import Misconfigured, NotFound
from mainstay.settings import Settings
from mainstay.wiring import make_missing_keys, platform


def test_a_platform_makes_its_home_and_touches_nothing_else(tmp_path: Path) -> None:
    made = platform(Settings(home=tmp_path / "a" / "home"))
    assert list((tmp_path / "a" / "home").iterdir()) == []
    assert made.trusted() == {}
    with pytest.raises(NotFound, match="`mainstay keys init` makes one"):
        made.signer()
    with pytest.raises(NotFound, match="`mainstay keys init` makes one"):
        made.pseudonym_key()


@pytest.mark.parametrize("below", ["", "home"])
def test_a_file_where_the_home_should_be_is_told(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="a file is in the way; MAINSTAY_HOME names a directory"):
        platform(Settings(home=tmp_path / "file" / below))


@pytest.mark.parametrize(
    ("setting", "address"),
    [("ledger", "garbage"), ("ledger", "mysql://host/db"), ("blobs", "ftp://bucket"), ("blobs", "garbage")],
)
def test_an_address_that_can_never_work_is_told(tmp_path: Path, setting: str, address: str) -> None:
    with pytest.raises(Misconfigured):
        platform(Settings(home=tmp_path).model_copy(update={setting: address}))


def test_keys_are_made_where_they_are_missing_and_never_twice(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    made = make_missing_keys(settings)
    assert [each.partition(" (")[0] for each in made] == ["a signing key", "a pseudonym key"]
    assert make_missing_keys(settings) == ()
    home = platform(settings)
    assert list(home.trusted()) == [home.signer().key_id]
    assert f"({home.signer().key_id})" in made[0]
    assert f"({home.pseudonym_key()[0]})" in made[1]


def test_who_signs_with_a_key_of_their_own_gets_no_other(tmp_path: Path) -> None:
    made = make_missing_keys(Settings(home=tmp_path, signing="file:///elsewhere/signing.key"))
    assert [each.partition(" (")[0] for each in made] == ["a pseudonym key"]
