from mainstay.ledger.kinds import KINDS


def test_the_names_of_kinds_stay_what_they_were_when_the_first_fact_was_written() -> None:
    assert {name: kind.noun.__name__ for name, kind in KINDS.items()} == {
        "dataset": "DatasetVersion",
        "tag": "Tag",
        "feature_service": "FeatureService",
        "run": "Run",
        "candidate": "Candidate",
        "verdict": "Verdict",
        "version": "ModelVersion",
        "split": "Split",
        "look": "Look",
        "rollout": "Rollout",
        "decision": "Decision",
        "proof": "Proof",
        "alert": "Alert",
        "incident": "Incident",
        "job": "Job",
        "withdrawal": "Withdrawn",
        "dismissal": "Dismissal",
        "erasure": "Erasure",
        "api_key": "ApiKey",
    }
