"""`serve`: answers over HTTP. It imports little: what answers is imported by the workers that it starts."""

from typing import Annotated

import typer

from mainstay.cli.door import UseCaseFile, open_use_case, say
from mainstay.serving.main import serve as serve_http
from mainstay.settings import read_settings


def serve(
    use_case_file: UseCaseFile = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any free port, and says which.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes behind the one port.")] = 1,
    open_: Annotated[bool, typer.Option("--open", help="Serve everybody: no key is asked for.")] = False,
    tls_cert: Annotated[
        str, typer.Option(metavar="FILE", help="Certificate chain (PEM); else MAINSTAY_TLS_CERT.")
    ] = "",
    tls_key: Annotated[str, typer.Option(metavar="FILE", help="Its private key (PEM); else MAINSTAY_TLS_KEY.")] = "",
) -> int:
    """Answer over HTTP with the version that is live; follows the ledger every second."""
    use_case, _ = open_use_case(use_case_file)
    given = {name: value for name, value in (("tls_cert", tls_cert), ("tls_key", tls_key)) if value}
    serve_http(read_settings().model_copy(update=given), use_case.name, host, port, workers, open_, say)
    return 0
