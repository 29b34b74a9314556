"""The routes: what is asked, and which answer or problem it gets."""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstay.digests import new_id
from mainstay.serving import metrics, schemas
from mainstay.serving.arms import Arms, Live
from mainstay.serving.guard import BATCH_BYTES, BATCH_ROWS, SINGLE_BYTES, parse_json, read_body, trace_of
from mainstay.serving.predict import answers, counted
from mainstay.serving.problems import Rejected, as_json, problem, problem_response
from mainstay.scoring.reading import Problem

BATCHES = 2
"""Batches scored at a time, each on a thread of its own; the others wait, so that single requests do not."""
CLOSED = 499
"""The status that is counted, and never sent, where the client left before its answer."""

log = logging.getLogger(__name__)
