"""What became of each prediction: labels, silence and actions joined to it, by what was known at a given time.

* A prediction is ripe once its horizon and grace have passed. Before, nothing is said of it, whatever is known: early
  bad news would come without the good news of the same day.
* A label of the positive class is an *event*: it holds for every prediction about its entity with
  asked_at <= true_at < asked_at + horizon. One of another class is a *state*: it holds only for those whose horizon
  had ended by then. One that names a prediction holds for that one, and for no other.
* A request that is asked again under its id within the hour is the same request: the first answer counts, whichever
  version gave the others, and what names one of the others is about it.
* A label that does not say when it was true counts from when it reached us, or from the end of its own horizon
  (`as_of` + its horizon) where that came first; `assumed` says so.
* The same label sent twice is sent once. Of labels that differ, what reached us last is the value; of two at one
  moment, the positive.
* Silence is the class `absent_means` once every source that declares how far it is complete has declared itself
  complete to the end of the horizon. One that declared once, and then no more, is a dead feed: nothing follows from
  its silence. A source that never declares holds nobody up.
* A sequential test takes a prediction once, with the value it had when the first was known (`entered_value`), at
  `entered_at`; in the order of that time, what was taken by one `now` begins what is taken by every later one.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from mainstay.ledger.columnar import TIME
from mainstay.ledger.query import ask
from mainstay.nouns import Window

RETRY_WITHIN = timedelta(hours=1)
"""A request whose id was asked up to so long before is a retry of that one; later it counts as another."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the use case says of its labels. `absent_means` is a class, or None where silence means nothing."""

    positive: str
    horizon: timedelta
    grace: timedelta = timedelta(0)
    absent_means: str | None = None


def joined(
    predictions: pa.Table,
    labels: pa.Table,
    actions: pa.Table,
    feeds: pa.Table,
    window: Window,
    rules: Rules,
    now: datetime,
) -> pa.Table:
    """One row per prediction of the window, retries aside, in order of asking.

    `predictions` reach `RETRY_WITHIN` beyond the window on both sides: what was a retry there is told by them.
    To the predictions' columns it adds `ripe_at`; `state`: `unripe`, `ripe` (its value is known) or `censored` (ripe,
    and nothing is known); `value`, `value_from` (`label` or `silence`) and `known_at`; `assumed`; `contradicted`
    (there were two values); `entered_value` and `entered_at`; and of the first action on it, or on its entity within
    its horizon, `action`, `action_probability`, `action_cost`, `acted_at`. Nothing that became known after `now` is
    in it.
    """
    values = {
        "start": window.start,
        "end": window.end,
        "now": now,
        "positive": rules.positive,
        "absent": rules.absent_means,
        "horizon": rules.horizon,
        "grace": rules.grace,
        "retry": RETRY_WITHIN,
    }
    silent = proven(feeds, now) if rules.absent_means is not None else []
    tables = {
        "asked": predictions.append_column("place", pa.array(range(predictions.num_rows), pa.int64())),
        "labels": labels,
        "actions": actions,
        "silence": pa.table(
            {
                "through": pa.array([through for through, _ in silent], TIME),
                "since": pa.array([since for _, since in silent], TIME),
            }
        ),
    }
    found = ask(_QUERY, values, tables, "evidence")
    times = ("ripe_at", "known_at", "entered_at", "acted_at")
    made = {name: found[name].cast(TIME) if name in times else found[name] for name in found.column_names}
    made |= {name: found[name].cast(predictions.schema.field(name).type) for name in predictions.column_names}
    return pa.table({name: made[name] for name in found.column_names})


def proven(feeds: pa.Table, now: datetime) -> list[tuple[datetime, datetime]]:
    """How far silence means something: (through, since) pairs, both rising; up to `through` it does since `since`.

    A source is not complete beyond the moment at which it says so.
    """
    told = sorted(
        (row["known_at"], row["source"], min(row["complete_through"], row["known_at"]))
        for row in feeds.to_pylist()
        if row["known_at"] <= now
    )
    by_time: dict[datetime, list[tuple[str, datetime]]] = defaultdict(list)
    for known_at, source, through in told:
        by_time[known_at].append((source, through))
    furthest: dict[str, datetime] = {}
    found: list[tuple[datetime, datetime]] = []
    for since, declared in by_time.items():
        for source, through in declared:
            furthest[source] = max(through, furthest.get(source, through))
        least = min(furthest.values())
        if not found or least > found[-1][0]:
            found.append((least.astimezone(UTC), since.astimezone(UTC)))
    return found


_QUERY = """
WITH tries AS (
  SELECT place, prediction_id, request_id, entity, role, version, asked_at,
    coalesce(asked_at - lag(asked_at) OVER same > $retry::INTERVAL, true) AS anew
  FROM asked WINDOW same AS (PARTITION BY request_id, entity ORDER BY asked_at, prediction_id)
), request AS (
  SELECT *, sum(anew::INT) OVER (PARTITION BY request_id, entity ORDER BY asked_at, prediction_id) AS turn FROM tries
), counted AS (
  SELECT place, request_id, entity, turn FROM request
  QUALIFY row_number() OVER (
    PARTITION BY request_id, entity, turn, role, CASE WHEN role <> 'answered' THEN version END
    ORDER BY asked_at, prediction_id) = 1
), ids AS (
  SELECT DISTINCT counted.place, request.prediction_id FROM counted JOIN request
    ON counted.request_id = request.request_id AND counted.entity IS NOT DISTINCT FROM request.entity
    AND counted.turn = request.turn
), p AS (
  SELECT *, asked_at + $horizon::INTERVAL AS ends_at, asked_at + $horizon::INTERVAL + $grace::INTERVAL AS ripe_at
  FROM asked WHERE asked_at >= $start AND asked_at < $end AND place IN (SELECT place FROM counted)
), once AS (
  SELECT value, entity, prediction_id, as_of, true_at, horizon, min(known_at) AS known_at
  FROM labels WHERE known_at <= $now GROUP BY ALL
), l AS (
  SELECT value, entity, prediction_id, known_at, value = $positive AS event, true_at IS NULL AS assumed,
    CASE
      WHEN value = $positive THEN coalesce(true_at, least(known_at, as_of + to_microseconds(horizon - 1)))
      ELSE least(known_at, coalesce(true_at, as_of + to_microseconds(horizon), known_at))
    END AS held_at
  FROM once
), holds AS (
  SELECT p.place, p.ripe_at, l.value, l.known_at, l.assumed, l.event
  FROM p JOIN ids USING (place) JOIN l ON l.prediction_id = ids.prediction_id
  UNION ALL
  SELECT p.place, p.ripe_at, l.value, l.known_at, l.assumed, l.event
  FROM p JOIN l ON l.entity = p.entity AND l.event AND p.asked_at <= l.held_at AND l.held_at < p.ends_at
  UNION ALL
  SELECT p.place, p.ripe_at, l.value, l.known_at, l.assumed, l.event
  FROM p JOIN l ON l.entity = p.entity AND NOT l.event AND p.ends_at <= l.held_at
), told AS (
  SELECT place, greatest(any_value(ripe_at), min(known_at)) AS told_at, count(DISTINCT value) AS differ,
    max_by(struct_pack(value := value, assumed := assumed, known_at := known_at),
           struct_pack(known_at := known_at, event := event, value := value)) AS latest
  FROM holds GROUP BY place
), quiet AS (
  SELECT p.place, greatest(p.ripe_at, s.since) AS quiet_at
  FROM p ASOF JOIN silence s ON p.ends_at <= s.through
), entered AS (
  SELECT p.place, least(told_at, CASE WHEN quiet_at <= $now THEN quiet_at END) AS entered_at,
    CASE WHEN quiet_at <= $now THEN quiet_at END AS quiet_at, told.differ, told.latest
  FROM p LEFT JOIN told USING (place) LEFT JOIN quiet USING (place)
), earlier AS (
  SELECT h.place, max_by(h.value, struct_pack(known_at := h.known_at, event := h.event, value := h.value)) AS value
  FROM holds h JOIN entered e USING (place) WHERE h.known_at <= e.entered_at GROUP BY h.place
), done AS (
  SELECT p.place, a.kind, a.probability, a.cost, a."at"
  FROM p JOIN ids USING (place) JOIN actions a ON a.prediction_id = ids.prediction_id
  WHERE a.known_at <= $now
  UNION ALL
  SELECT p.place, a.kind, a.probability, a.cost, a."at"
  FROM p JOIN actions a ON a.entity = p.entity AND p.asked_at <= a."at" AND a."at" < p.ends_at
  WHERE a.known_at <= $now
), acted AS (
  SELECT place, min(struct_pack(acted_at := "at", kind := kind, probability := probability, cost := cost)) AS act
  FROM done GROUP BY place
), valued AS (
  SELECT p.*, e.entered_at,
    CASE WHEN p.ripe_at > $now THEN 'unripe' WHEN e.entered_at IS NULL THEN 'censored' ELSE 'ripe' END AS state,
    e.latest, e.quiet_at, e.differ, t.value AS then_value, acted.act
  FROM p LEFT JOIN entered e USING (place) LEFT JOIN earlier t USING (place) LEFT JOIN acted USING (place)
)
SELECT * EXCLUDE (place, ends_at, entered_at, state, latest, quiet_at, differ, then_value, act), state,
  CASE WHEN state = 'ripe' THEN coalesce(latest.value, $absent) END AS value,
  CASE WHEN state = 'ripe' THEN CASE WHEN latest IS NULL THEN 'silence' ELSE 'label' END END AS value_from,
  CASE WHEN state = 'ripe' THEN coalesce(latest.known_at, quiet_at) END AS known_at,
  state = 'ripe' AND coalesce(latest.assumed, false) AS assumed,
  state = 'ripe' AND (coalesce(differ, 0) > 1 OR coalesce(then_value, $absent) <> coalesce(latest.value, $absent))
    AS contradicted,
  CASE WHEN state = 'ripe' THEN coalesce(then_value, $absent) END AS entered_value,
  CASE WHEN state = 'ripe' THEN entered_at END AS entered_at,
  act.kind AS "action", act.probability AS action_probability, act.cost AS action_cost, act.acted_at AS acted_at
FROM valued ORDER BY asked_at, prediction_id, version, role
"""
