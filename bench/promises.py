"""What Mainstay promises of its speed: `make bench` ends with other than 0 where one of these does not hold here."""

REQUESTS_TO_BARE = 0.4
"""Requests a second on one core, at least, as a share of a bare echo's on the same server."""
P99_TO_BARE = 3.0
"""The 99th percentile of a request's time, at most, as a multiple of the bare echo's."""
MEGABYTES_A_WORKER = 120.0
"""Resident memory of one worker that has answered, at most."""
BATCH_TO_PIPELINE = 5.0
"""Batch scoring, at least, as a multiple of scikit-learn's own pipeline."""
LOOKUP_MILLISECONDS = 1.0
"""Milliseconds of one look-up of all features of a customer, at the median, at most: with SQLite and with Redis."""
BY_ID_TO_GIVEN = 0.4
"""Predictions by customer id, at least, as a share of those with the features given."""
