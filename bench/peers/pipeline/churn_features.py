"""The part of the peers' scikit-learn pipeline that is code: they find it on PYTHONPATH, as a team's own package is."""


def derived(frame, flags=()):  # type: ignore[no-untyped-def]
    """What the churn use case derives, and a column of its own for what may be missing; numbers as float32."""
    made = frame.assign(TotalCharges=frame.TotalCharges.astype("float64"))
    made["extra_paid"] = made.TotalCharges - made.tenure * made.MonthlyCharges
    made["months_or_one"] = made.tenure.clip(lower=1)
    for name in flags:
        made[f"{name} is missing"] = made[name].isna()
    return made


def numbers(frame):  # type: ignore[no-untyped-def]
    """As the trees were fitted on them."""
    return frame.to_numpy(dtype="float32")
