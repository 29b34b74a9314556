"""Great Expectations itself, which nothing else imports: it says whether a suite is one, and writes it."""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mainstay.data.suite import Suite

_ALWAYS: Final = {"GX_ANALYTICS_ENABLED": "false"}


@contextmanager
def quiet() -> Iterator[None]:
    """Import or call Great Expectations in here: it sends nothing to anybody, and its warnings stay its own.

    It reads whether to send analytics from the environment when it is imported, so that is where the answer is put.
    """
    os.environ.update(_ALWAYS)  # noqa: TID251  (written for Great Expectations, never read by us)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def written(suite: Suite) -> str:
    """A suite as the JSON of Great Expectations 1.x, which has checked every expectation. Ends with a newline."""
    with quiet():
        from great_expectations.core.expectation_suite import ExpectationSuite

        made = ExpectationSuite(
            name=suite.name, expectations=list(suite.expectations), meta={"mainstay": dict(suite.meta)}
        )
        document = made.to_json_dict()
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
