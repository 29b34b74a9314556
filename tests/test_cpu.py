"""Which kind of processor a score was made on."""

import platform
from pathlib import Path

from mainstay.cpu import kind_of_cpu


def test_the_model_is_the_one_that_linux_tells(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: AMD  EPYC 9R14\nprocessor\t: 1\nmodel name\t: AMD  EPYC 9R14\n")
    assert kind_of_cpu(told) == f"{platform.machine()} AMD EPYC 9R14"


def test_where_nobody_tells_the_model_there_is_the_architecture(tmp_path: Path) -> None:
    assert kind_of_cpu(tmp_path / "nothing").startswith(platform.machine())
