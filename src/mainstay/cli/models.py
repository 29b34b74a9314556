"""`mainstay models`: list, show, verify; what is written for people is in `accounts`."""

import typer

from mainstay.cli import show
from mainstay.cli.accounts import card, diff, lineage
from mainstay.cli.door import AsJson, UseCaseFile, open_platform, open_use_case, show_json
from mainstay.cli.named import Version, named_version
from mainstay.ledger.facts import Fact
from mainstay.ledger.kinds import SPLITS, VERSIONS
from mainstay.nouns import ModelVersion, Split, rfc3339
from mainstay.records import encode
from mainstay.registry.loading import load
from mainstay.registry.versioning import number
from mainstay.scoring.scorer import Scorer

app = typer.Typer(
    no_args_is_help=True, help="Model versions: what stands on the shelf, what is live, what is believed."
)
for _account in (card, lineage, diff):
    app.command()(_account)


@app.command("list")
def list_(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every version of the use case, the lowest number first, and what it does now."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    facts = sorted(platform.ledger.latest_of_each(use_case.name, VERSIONS), key=lambda fact: number(fact.subject))
    live = platform.ledger.latest(use_case.name, SPLITS, use_case.name)
    rows = [(fact, _state(fact, live.body if live else None)) for fact in facts]
    if as_json:
        shown = [{**encode(fact.body), "at": rfc3339(fact.at), "state": state} for fact, state in rows]
        show_json({"versions": shown})
    elif not rows:
        show.line(f"no version of {use_case.name} yet; `mainstay release` makes one")
    else:
        show.versions_table((f"{fact.at:%Y-%m-%d %H:%M:%S}", fact.body, state) for fact, state in rows)
    return 0


def _state(fact: Fact[ModelVersion], live: Split | None) -> str:
    for arm in live.arms if live else ():
        if arm.version == fact.subject:
            return "standby" if arm.standby else "listens" if arm.listens else f"answers {arm.share:.0%}"
    return "on the shelf"


@app.command("show")
def show_(version: Version = "", use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """The signed manifest of one version."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    manifest, _ = load(
        use_case.name, named_version(platform, use_case.name, version), platform.blobs, platform.trusted()
    )
    body = encode(manifest)
    if as_json:
        show_json(body)
    else:
        scores = body.pop("metrics")
        show.pairs_table(f"{use_case.name}@{manifest.version}", body.items())
        show.scores_table("On the holdout", {"holdout": manifest.metrics} if scores else {})
    return 0


@app.command()
def verify(version: Version = "", use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Check a version as serving does before it loads it: signature, digests, golden rows."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    named = named_version(platform, use_case.name, version)
    manifest, bundle = load(use_case.name, named, platform.blobs, platform.trusted())
    Scorer(bundle).warm_up()
    if as_json:
        show_json({"version": manifest.version, "candidate": manifest.candidate, "key_id": manifest.key_id, "ok": True})
    else:
        show.line(
            f"{use_case.name}@{manifest.version}: signed by trusted key {manifest.key_id}, {len(manifest.files)} files"
            f" as signed, {len(bundle.golden.rows)} golden rows score as recorded"
        )
    return 0
