import pytest

from mainstay.varints import signed, varint


@pytest.mark.parametrize(
    ("data", "number"), [(b"\x00", 0), (b"\x7f", 127), (b"\x80\x01", 128), (b"\xff" * 9 + b"\x01", (1 << 64) - 1)]
)
def test_a_number_and_the_place_after_it_are_read(data: bytes, number: int) -> None:
    assert varint(b"." + data + b".", 1) == (number, 1 + len(data))
    assert varint(memoryview(data), 0) == (number, len(data))


def test_numbers_below_zero_are_the_upper_half() -> None:
    assert [signed(each) for each in (0, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)] == [0, (1 << 63) - 1, -(1 << 63), -1]


def test_a_number_that_does_not_end_is_an_error() -> None:
    with pytest.raises(IndexError):
        varint(b"\x80", 0)
