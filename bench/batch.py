"""Batch scoring beside scikit-learn's own pipeline: Parquet in, Parquet out, on one core, in one run.

    python bench/batch.py [--rows 300000] [--repeats 5]

Ends with 1 where Mainstay is less than `promises.BATCH_TO_PIPELINE` times as fast. Each repeat times both, one after
the other, so that what else the machine does meets both; what counts is the median.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from promises import BATCH_TO_PIPELINE
from report import record, table

from mainstay.churn import simulate
from mainstay.data.freeze import open_dataset
from mainstay.journeys import release, score
from mainstay.journeys.asked import Asked
from mainstay.settings import Settings
from mainstay.training.estimators import ESTIMATORS
from mainstay.usecase import UseCase
from mainstay.usecase_file import CHURN, loads
from mainstay.wiring import Platform, platform


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=300_000)
    asked.add_argument("--repeats", type=int, default=5)
    given = asked.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), given.rows, given.repeats)


def compare(folder: Path, rows: int, repeats: int) -> int:
    use_case, home, far = released(folder)
    source = folder / "rows.parquet"
    write_rows(source, rows)
    pipeline, categories, numbers = fitted_pipeline(use_case, home, far)

    def ours() -> None:
        score.score(home, use_case, source, folder / "ours.parquet", overwrite=True)

    def theirs() -> None:
        entity = use_case.entity or ""
        frame = pd.read_parquet(source, columns=[entity, *categories, *numbers])
        probability = pipeline.predict_proba(with_derived(frame))[:, 1]
        decision = np.where(probability >= 0.5, "Yes", "No")
        pd.DataFrame({"entity": frame[entity], "probability": probability, "decision": decision}).to_parquet(
            folder / "theirs.parquet"
        )

    seconds: dict[str, list[float]] = {"mainstay score": [], "scikit-learn pipeline": []}
    for _ in range(repeats + 1):
        for name, run in zip(seconds, (ours, theirs), strict=True):
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return told({name: times[1:] for name, times in seconds.items()}, rows, sizes(home, pipeline))


def released(folder: Path) -> tuple[UseCase, Platform, release.Release]:
    """A signed, live version of the churn use case: LightGBM with its default parameters."""
    text = CHURN.read_text().replace("customers=20000", "customers=6000")
    text = re.sub(r"estimators: \[[^]]*\]", "estimators: [lightgbm]", text)
    use_case = loads(text.replace("trials: 30, folds: 5", "trials: 1, folds: 2"))
    home = platform(Settings(home=folder / "home"))
    far = release.Release(use_case.name)
    release.release(home, use_case, Asked("bench", "to be measured", folder), far, lambda noun: None)
    return use_case, home, far


def write_rows(path: Path, rows: int) -> None:
    writer = None
    for chunk in simulate.chunks(simulate.Population(rows, seed=11)):
        part = pa.table({name: pa.array(values, from_pandas=True) for name, values in chunk.items()})
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part.cast(writer.schema))
    if writer is not None:
        writer.close()


def with_derived(frame: pd.DataFrame) -> pd.DataFrame:
    """The two features that the use case derives."""
    return frame.assign(
        extra_paid=frame.TotalCharges - frame.tenure * frame.MonthlyCharges, months_or_one=frame.tenure.clip(lower=1)
    )


def fitted_pipeline(use_case: UseCase, home: Platform, far: release.Release) -> tuple[Any, list[str], list[str]]:
    """One-hot encoding and the same LightGBM as scikit-learn people put them together, fitted on the same rows."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    categories = [name for name, column in use_case.inputs.items() if column.kind == "category"]
    numbers = [name for name in use_case.inputs if name not in categories]
    if far.dataset is None:
        raise RuntimeError(f"the release stopped at {far.stage}")
    frame = open_dataset(far.dataset, home.blobs).to_pandas()
    frame = frame.assign(SeniorCitizen=frame.SeniorCitizen.astype(int))  # as the rows to score have it
    frame = with_derived(frame[frame.Churn.notna() & ~frame["__held_out__"]])
    model = ESTIMATORS["lightgbm"]
    encode = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), categories),
            ("numbers", "passthrough", [*numbers, *use_case.derived]),
        ]
    )
    made = Pipeline([("encode", encode), ("model", model.build(model.defaults, use_case.recipe.seed))])
    return made.fit(frame, frame.Churn == "Yes"), categories, numbers


def sizes(home: Platform, pipeline: Any) -> tuple[int, int]:
    """Leaves of both models."""
    import onnx

    loaded = score.believed(home, "churn")
    if not loaded.scorer.by_column:
        sys.stderr.write("the graph runs in ONNX Runtime: its trees are not asked by the column\n")
    graph = onnx.load_from_string(loaded.scorer.scorer.bundle.model).graph
    weights = next(each for each in graph.node[0].attribute if each.name == "class_weights")
    trees = pipeline[-1].booster_.dump_model()["tree_info"]
    return len(weights.floats), sum(tree["num_leaves"] for tree in trees)


def told(seconds: dict[str, list[float]], rows: int, leaves: tuple[int, int]) -> int:
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ours, theirs = medians.values()
    ratio = theirs / ours
    columns = ["what", "median s", "fastest s", "slowest s", "µs a row", "rows a second", "leaves"]
    shown = []
    for (name, times), middle, count in zip(seconds.items(), medians.values(), leaves, strict=True):
        spread = [f"{middle:.3f}", f"{min(times):.3f}", f"{max(times):.3f}"]
        shown.append([name, *spread, f"{middle / rows * 1e6:.2f}", f"{rows / middle:,.0f}", f"{count:,}"])
    found = f"Mainstay is {ratio:.1f} times as fast; it must be {BATCH_TO_PIPELINE:g} times."
    sys.stdout.write(f"{table(columns, shown)}\n\n{found}\n")
    record(
        "batch",
        {
            "title": "Batch scoring",
            "question": f"How long do {rows:,} customers take, from Parquet rows to Parquet answers, on one core?",
            "how": "Both have a LightGBM of 300 trees on the same features. `mainstay score` finds, believes and loads "
            "its signed version each time, checks every value against the contract, and syncs what it wrote; "
            "the pipeline (one-hot encoding and LightGBM on pandas) is fitted, in memory already, and checks nothing. "
            f"Medians of {len(next(iter(seconds.values())))} repeats, interleaved.",
            "columns": columns,
            "rows": shown,
            "found": found,
            "rows_scored": rows,
            "seconds": seconds,
            "ratio": ratio,
            "least": BATCH_TO_PIPELINE,
        },
    )
    return 0 if ratio >= BATCH_TO_PIPELINE else 1


if __name__ == "__main__":
    sys.exit(main())
