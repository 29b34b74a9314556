"""Requests of a rollout as its judge sees them: a request is one however often it was tried, a unit is exposed once.

The queries continue `Observations.asked_of`, whose `asked` are the rows as they were logged. All of them is SQL, so
that a million requests stay where they are and only sums come back; sums of fractions are of decimals, which add up to
the same in any order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from mainstay.ledger.joined import RETRY_WITHIN
from mainstay.ledger.observations import Observations
from mainstay.nouns import Rollout, Window
from mainstay.rollout.epochs import Stage

Row = Mapping[str, Any]

FIRST_SCORINGS = 500
"""The champion's scorings of a rollout that its 95th percentile is taken from."""
PERCENTILE_PLACE = 475
"""Which of them, from the fastest: the smallest that at least 95 % do not exceed."""
ASIDE_US = 1000.0
"""Microseconds beyond it that are nobody's slowness: an arm that scores on a thread of its own finds the processor's
caches cold, the more so on a busy machine, while the champion never leaves its thread. Customers notice neither."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Of whom the queries ask: the observations as they stood at `seq`, and a rollout with its stages."""

    observations: Observations
    rollout: Rollout
    stages: Sequence[Stage]
    seq: int

    def answer(self, query: str, window: Window, until: datetime, **values: Any) -> pa.Table:
        """The answer to a query over the requests that began within a window.

        What was tried again, and answered only then, is read as far as `until`.
        """
        given = {
            "challenger": self.rollout.challenger,
            "champion": self.rollout.champion,
            "start": window.start,
            "end": window.end,
            "retry": RETRY_WITHIN,
        }
        epochs = pa.table(
            {
                "split": pa.array([each.number for each in self.stages], pa.int64()),
                "epoch": pa.array([each.epoch for each in self.stages], pa.int64()),
                "mode": pa.array([each.mode for each in self.stages], pa.string()),
            }
        )
        wider = Window(window.start - RETRY_WITHIN, until)
        return self.observations.asked_of(
            f"{REQUESTS}{query}", {**given, **values}, {"epochs": epochs}, wider, self.seq
        )


def sums(asking: Asking, window: Window, slow_over_us: float | None) -> list[Row]:
    """The rows of `SUMS`, in an order that no thread decides: fractions are added up in it."""
    found: list[Row] = asking.answer(
        SUMS,
        window,
        window.end,
        entered=asking.rollout.entered_at,
        slow_over_us=slow_over_us,
        first=FIRST_SCORINGS,
        place=PERCENTILE_PLACE,
        aside=ASIDE_US,
    ).to_pylist()
    return sorted(found, key=lambda row: (row["epoch"] or 0, bool(row["challenged"]), row["odds"] or 0.0))


REQUESTS = """
row AS (
  SELECT hash(request_id, entity) AS request, hash(unit) AS unit, hash(prediction_id) AS tie, asked_at,
    role = 'answered' AS answered, role = 'attempted' AS attempted,
    version = $challenger AS c, version = $champion AS h,
    CASE assigned WHEN $challenger THEN true WHEN $champion THEN false END AS challenged,
    share, split, pinned, threshold,
    outcome <> 'ok' AS failed,
    CASE WHEN outcome = 'ok' AND probability BETWEEN 0 AND 1 THEN probability END AS probability,
    CASE WHEN outcome = 'ok' AND probability BETWEEN 0 AND 1 AND decision IS NOT NULL THEN hash(decision) END
      AS decision,
    CASE WHEN isfinite(scoring_us) THEN scoring_us END AS scoring_us,
    list_contains(list_value(*COLUMNS(lambda name: starts_with(name, 'o.') OR name = 'role')), 'missing')
      OR coalesce(list_has_any(list_transform(flags, lambda flag: split_part(flag, ':', 1)),
                               ['stale', 'unknown_entity']), false) AS missing
  FROM asked
), again AS (
  SELECT request FROM row GROUP BY request HAVING min(tie) <> max(tie)
), gap AS (
  SELECT request, tie, asked_at,
    coalesce(asked_at - lag(asked_at) OVER same > $retry::INTERVAL, true) AS anew
  FROM (SELECT request, tie, min(asked_at) AS asked_at FROM row SEMI JOIN again USING (request) GROUP BY ALL)
  WINDOW same AS (PARTITION BY request ORDER BY asked_at, tie)
), turned AS (
  SELECT *, sum(anew::INT) OVER same AS turn, row_number() OVER same AS nth
  FROM gap WINDOW same AS (PARTITION BY request ORDER BY asked_at, tie)
), request AS (
  SELECT request, turn,
    min(asked_at) AS begun, max(asked_at) AS latest, min_by(tie, nth) AS tie, min_by(unit, nth) AS unit,
    min_by(challenged, nth) AS challenged, min_by(share, nth) AS share, min_by(split, nth) AS split,
    min_by(pinned, nth) AS pinned,
    bool_or(attempted) AS failed,
    min_by(probability, nth) FILTER (answered) AS probability,
    min_by(threshold, nth) FILTER (answered) AS threshold,
    bool_or(failed) FILTER (c) AS c_failed,
    bool_or(failed) FILTER (h) AS h_failed,
    min_by(probability, nth) FILTER (c) AS c_probability,
    min_by(probability, nth) FILTER (h) AS h_probability,
    min_by(decision, nth) FILTER (c) AS c_decision,
    min_by(decision, nth) FILTER (h) AS h_decision,
    min_by(scoring_us, nth) FILTER (c) AS c_us,
    min_by(scoring_us, nth) FILTER (h) AS h_us,
    min_by(missing, nth) FILTER (c) AS c_missing,
    min_by(missing, nth) FILTER (h) AS h_missing
  FROM (
    SELECT row.*, coalesce(turned.turn, 1) AS turn, coalesce(turned.nth, 1) AS nth
    FROM row LEFT JOIN turned USING (request, tie)
  )
  GROUP BY request, turn
), judged AS (
  SELECT request.*, epoch, mode,
    CASE WHEN challenged THEN coalesce(c_us, h_us) ELSE coalesce(h_us, c_us) END AS us,
    CASE WHEN challenged THEN coalesce(c_missing, h_missing) ELSE coalesce(h_missing, c_missing) END
      AS missing,
    CASE WHEN challenged THEN share ELSE 1 - share END AS odds,
    mode = 'split' AND share > 0 AND share < 1 AS parted,
    mode = 'paired' AND (h_failed OR (h_failed IS NOT NULL AND c_failed IS NOT NULL)) AS heard
  FROM request JOIN epochs USING (split)
  WHERE NOT pinned AND begun >= $start AND begun < $end AND challenged IS NOT NULL
), exposed AS (
  SELECT * FROM judged WHERE parted
  QUALIFY row_number() OVER (PARTITION BY unit ORDER BY begun, tie) = 1
), both_heard AS (
  SELECT *, coalesce(c_failed, false) AS c_wrong FROM judged WHERE heard
  QUALIFY row_number() OVER (PARTITION BY unit ORDER BY begun, tie) = 1
)
"""
"""Tries become requests, requests are judged by the epoch of their split, and units are taken at their first."""

SUMS = """
, scored AS (
  SELECT h_us FROM judged WHERE NOT h_failed AND h_us IS NOT NULL ORDER BY begun, tie LIMIT $first
), bound AS (
  SELECT coalesce($slow_over_us,
    CASE WHEN count(*) = $first THEN list_sort(list(h_us))[$place] + $aside END) AS slow_over
  FROM scored
), trouble AS (
  SELECT unit, begun, tie, epoch,
    CASE WHEN parted AND failed THEN challenged
         WHEN heard AND coalesce(c_failed, false) <> h_failed THEN NOT h_failed END AS error_of,
    CASE WHEN parted AND missing THEN challenged
         WHEN heard AND c_missing <> h_missing THEN c_missing END AS missing_of
  FROM judged
), first_error AS (
  SELECT epoch, error_of AS challenged FROM trouble WHERE error_of IS NOT NULL
  QUALIFY row_number() OVER (PARTITION BY unit ORDER BY begun, tie) = 1
), first_missing AS (
  SELECT epoch, missing_of AS challenged FROM trouble WHERE missing_of IS NOT NULL
  QUALIFY row_number() OVER (PARTITION BY unit ORDER BY begun, tie) = 1
), paired AS (
  SELECT c_wrong::INT AS c_error, h_failed::INT AS h_error, (c_us > slow_over)::INT AS c_slow,
    (h_us > slow_over)::INT AS h_slow, c_missing::INT AS c_lacks, h_missing::INT AS h_lacks,
    c_probability - h_probability AS moved, (c_decision <> h_decision)::INT AS flipped
  FROM both_heard, bound
)
SELECT 'split' AS what, epoch, challenged, odds, count(*) AS rows,
  count(*) FILTER (failed) AS errors, count(us > slow_over) AS slow_rows, count(*) FILTER (us > slow_over) AS slow,
  count(missing) AS missing_rows, count(*) FILTER (missing) AS missing, count(probability) AS probabilities,
  sum(probability::DECIMAL(38, 12))::DOUBLE AS total,
  sum((probability * probability)::DECIMAL(38, 12))::DOUBLE AS squares
FROM exposed, bound GROUP BY epoch, challenged, odds
UNION ALL BY NAME
SELECT 'paired' AS what, count(*) AS rows,
  sum(c_error - h_error) AS errors_total, sum(abs(c_error - h_error)) AS errors_differ,
  sum(c_error) AS c_errors, sum(h_error) AS h_errors,
  count(c_slow - h_slow) AS slow_rows, sum(c_slow - h_slow) AS slow_total, sum(abs(c_slow - h_slow)) AS slow_differ,
  sum(c_slow) FILTER (h_slow IS NOT NULL) AS c_slow, sum(h_slow) FILTER (c_slow IS NOT NULL) AS h_slow,
  count(c_lacks - h_lacks) AS missing_rows, sum(c_lacks - h_lacks) AS missing_total,
  sum(abs(c_lacks - h_lacks)) AS missing_differ,
  sum(c_lacks) FILTER (h_lacks IS NOT NULL) AS c_missing, sum(h_lacks) FILTER (c_lacks IS NOT NULL) AS h_missing,
  count(moved) AS probabilities, sum(moved::DECIMAL(38, 12))::DOUBLE AS total,
  sum(abs(moved)::DECIMAL(38, 12))::DOUBLE AS apart, sum((moved * moved)::DECIMAL(38, 12))::DOUBLE AS squares,
  count(flipped) AS decisions, sum(flipped) AS flipped
FROM paired
UNION ALL BY NAME
SELECT 'errors' AS what, epoch, challenged, count(*) AS rows FROM first_error GROUP BY epoch, challenged
UNION ALL BY NAME
SELECT 'missing' AS what, epoch, challenged, count(*) AS rows FROM first_missing GROUP BY epoch, challenged
UNION ALL BY NAME
SELECT 'counts' AS what, count(c_failed) AS requests, count(c_failed) FILTER (begun >= $entered) AS step_requests,
  count(*) FILTER (
    mode = 'paired' AND ((c_failed IS NULL AND NOT h_failed) OR (h_failed IS NULL AND NOT c_failed))
  ) AS shed,
  max(latest) AS newest, (SELECT slow_over FROM bound) AS slow_over
FROM judged
"""
"""What the guardrails go by, as sums: a row per epoch, arm and logged share, and one for paired units."""

SCORED = """
, before AS (
  SELECT unit, begun, max_by(h_probability, tie) AS foretold FROM judged
  WHERE mode <> 'split' AND h_probability IS NOT NULL GROUP BY unit, begun
), kept AS (
  SELECT e.request, e.turn, e.mode, e.challenged, e.odds, e.threshold, e.probability,
    NULL::DOUBLE AS c_probability, NULL::DOUBLE AS h_probability, b.foretold
  FROM exposed e ASOF LEFT JOIN before b ON e.unit = b.unit AND e.begun > b.begun WHERE e.probability IS NOT NULL
  UNION ALL BY NAME
  SELECT request, turn, mode, challenged, c_probability, h_probability FROM both_heard
  WHERE c_probability IS NOT NULL AND h_probability IS NOT NULL
), named AS (
  SELECT hash(request_id, entity) AS request, hash(prediction_id) AS tie, prediction_id, request_id, entity, asked_at
  FROM asked
)
SELECT kept.* EXCLUDE (request, turn), prediction_id, request_id, entity, named.asked_at, 'answered' AS role,
  '' AS version
FROM named LEFT JOIN turned USING (request, tie) JOIN kept
  ON kept.request = named.request AND kept.turn = coalesce(turned.turn, 1)
"""
"""The units whose outcomes may be compared, at the request that counts; its retries too, since labels may name them."""
