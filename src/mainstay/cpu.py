"""Which kind of processor this is: on the same kind, the same graph gives the same scores to the bit."""

import platform
from pathlib import Path


def kind_of_cpu(told: Path = Path("/proc/cpuinfo")) -> str:
    """The architecture and the model of this machine's processor, as in `x86_64 AMD EPYC 9R14`.

    `told` is where Linux tells the model; where it does not, there is what Python knows, at least the architecture.
    """
    try:
        lines = told.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(named, platform.processor())
    return " ".join(f"{platform.machine()} {model}".split())
