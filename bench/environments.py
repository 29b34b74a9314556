"""A virtual environment for each peer, under `bench/.peers/`: by venv and pip, from hash-pinned requirements."""

import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent
PATIENCE = 900  # seconds that one installation may take


class NotInstalled(Exception):
    """A peer could not be installed here. Its text is the reason."""


def installed(name: str) -> Path:
    """The `bin` of a peer's environment, which is made unless it stands. NotInstalled with pip's own reason."""
    requirements = FOLDER / "peers" / name / "requirements.txt"
    wanted = sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    place = FOLDER / ".peers" / name
    ready = place / ".ready"
    if ready.exists() and ready.read_text() == wanted:
        return place / "bin"
    sys.stderr.write(f"installing {name} into {place.relative_to(FOLDER.parent)}: a minute or two\n")
    began = time.monotonic()
    _run([sys.executable, "-m", "venv", "--clear", str(place)])
    _run(
        [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(requirements)]
    )
    ready.write_text(wanted)
    sys.stderr.write(f"installed {name} in {time.monotonic() - began:.0f} s\n")
    return place / "bin"


def _run(command: list[str]) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}  # noqa: TID251
    environment.pop("PYTHONPATH", None)
    try:
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"not installed within {PATIENCE} s") from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in (error.stderr or error.stdout or "").splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["no reason given"]
        raise NotInstalled(told[0].removeprefix("ERROR: ")[:300]) from error


def versions(bin_: Path, packages: list[str]) -> dict[str, str]:
    """The versions of these packages in an environment."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    found = subprocess.run(
        [str(bin_ / "python"), "-c", code, *packages], capture_output=True, text=True, check=True, timeout=60
    )
    return dict(zip(packages, found.stdout.split(), strict=True))
