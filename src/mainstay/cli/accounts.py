"""`mainstay models card`: the account of a version, as files for people."""

from pathlib import Path
from typing import Annotated

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, open_platform, open_use_case, show_json
from mainstay.cli.named import Version, named_version
from mainstay.errors import Unavailable

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write the files.")]


def card(version: Version = "", out: Out = Path(), use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Write a version's model card, as Markdown with its plots and as one HTML page."""
    # Here, because models are listed and shown where nothing but serving is installed.
    from mainstay.journeys.account import facts_of
    from mainstay.quality.card import card as rendered
    from mainstay.quality.document import to_html, to_markdown

    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    named = named_version(platform, use_case.name, version)
    page = rendered(facts_of(platform, use_case.name, named))
    files = {f"{use_case.name}-{named}-card.md": to_markdown(page), f"{use_case.name}-{named}-card.html": to_html(page)}
    files |= {f"{picture.name}.svg": picture.svg for picture in page.pictures}
    written = write_all(out, files)
    if as_json:
        show_json({"version": named, "written": [str(path) for path in written]})
    else:
        for path in written:
            show.line(str(path))
    return 0


def write_all(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write texts under their names into a folder, which is made. Unavailable where the disk will not have them."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            written.append(folder / name)
    except OSError as error:
        raise Unavailable(f"cannot be written ({(error.strerror or str(error)).lower()})", str(folder)) from error
    return written
