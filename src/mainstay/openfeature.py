"""OpenFeature in both directions: the split as a provider of flags, and a team's own flag system asked for pins.

    from openfeature import api
    from mainstay.openfeature import provider

    api.set_provider(provider(use_case))
    client = api.get_client()
    client.get_string_value("churn.version", "", EvaluationContext("7590-VHVEG"))
    client.get_boolean_value("churn.challenger", False, EvaluationContext("7590-VHVEG"))

The targeting key is the entity as requests name it; attributes of the context are served features, which pins by
condition go by.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, OpenFeatureError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, FeatureProvider, Metadata

from mainstay.errors import MainstayError, Refused, Unavailable
from mainstay.expressions import Kind
from mainstay.journeys.observations import stored_name
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import Split, Value
from mainstay.registry.loading import load
from mainstay.rollout.assign import Assigner, Assignment
from mainstay.settings import Settings, read_settings
from mainstay.suggest import did_you_mean
from mainstay.usecase import UseCase
from mainstay.wiring import platform as open_platform

EVERY = 1.0
"""Seconds for which a split that was read is believed without looking again."""

T = TypeVar("T")


class SplitProvider(AbstractProvider):
    """Resolves `NAME.version` (a string) and `NAME.challenger` (a boolean) for a use case called NAME.

    They are what the servers decide for the same entity under the same split. Reasons: SPLIT by the hash,
    TARGETING_MATCH by a pin, STATIC where one arm answers everybody, STALE where the ledger cannot be read and the last
    split that was stands in, DEFAULT (with the default value) where nothing is live yet. A context without a targeting
    key is an error wherever the hash or a pin would need one: an anonymous request is assigned by an id that only the
    server makes. Threads may share it.
    """

    def __init__(
        self,
        name: str,
        read_split: Callable[[], Split | None],
        kinds_of: Callable[[str], Mapping[str, Kind]],
        stored: Callable[[str], str],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read_split` gives what is live, `kinds_of` the served features of a version (asked only for pins that need
        them), `stored` the name an entity is stored under. They raise MainstayError where they cannot.
        """
        super().__init__()
        self._name, self._read_split, self._kinds_of, self._stored = name, read_split, kinds_of, stored
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.Lock()
        self._read_at = -math.inf
        self._held: tuple[Split, Assigner, Mapping[str, Kind]] | None = None
        self._trouble: MainstayError | None = None

    def get_metadata(self) -> Metadata:
        return Metadata(name="mainstay")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """The version that answers the entity."""
        return self._resolved(flag_key, "version", default_value, evaluation_context, lambda split, version: version)

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Whether another version than the champion answers the entity."""
        return self._resolved(
            flag_key,
            "challenger",
            default_value,
            evaluation_context,
            lambda split, version: version != split.reigning,
        )

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._unknown(flag_key, default_value)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        return self._unknown(flag_key, default_value)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        return self._unknown(flag_key, default_value)

    def _unknown(self, key: str, default: T) -> FlagResolutionDetails[T]:
        flags = {f"{self._name}.version": "a string", f"{self._name}.challenger": "a boolean"}
        if key in flags:
            return _error(default, ErrorCode.TYPE_MISMATCH, f"{key} is {flags[key]}")
        return _error(default, ErrorCode.FLAG_NOT_FOUND, f"there is no flag {key}{did_you_mean(key, flags)}")

    def _resolved(
        self,
        key: str,
        flag: str,
        default: T,
        context: EvaluationContext | None,
        value: Callable[[Split, str], T],
    ) -> FlagResolutionDetails[T]:
        if key != f"{self._name}.{flag}":
            return self._unknown(key, default)
        held, trouble = self._current()
        if held is None:
            if trouble is not None:
                return _error(default, ErrorCode.PROVIDER_NOT_READY, f"the split cannot be read: {trouble}")
            return FlagResolutionDetails(default, reason=Reason.DEFAULT)
        split, assigner, kinds = held
        try:
            assigned = self._assigned(assigner, context, kinds)
        except MainstayError as error:
            return _error(default, ErrorCode.GENERAL, str(error))
        if assigned is None:
            return _error(
                default, ErrorCode.TARGETING_KEY_MISSING, "the targeting key is the entity, and there is none"
            )
        reason = Reason.TARGETING_MATCH if assigned.pinned else Reason.SPLIT if assigned.share < 1 else Reason.STATIC
        told: Mapping[str, bool | int | float | str] = {"split": split.number, "share": assigned.share}
        return FlagResolutionDetails(
            value(split, assigned.version),
            reason=reason if trouble is None else Reason.STALE,
            variant=assigned.version,
            flag_metadata=told,
        )

    def _assigned(
        self, assigner: Assigner, context: EvaluationContext | None, kinds: Mapping[str, Kind]
    ) -> Assignment | None:
        if assigner.alone is not None:
            return assigner.alone
        key = None if context is None else context.targeting_key
        if not key or context is None:
            return None
        entity = self._stored(key)
        features = {name: _typed(context.attributes.get(name), kind) for name, kind in kinds.items()}
        return assigner.of(entity, now=self._clock(), entity=entity, features=features)

    def _current(self) -> tuple[tuple[Split, Assigner, Mapping[str, Kind]] | None, MainstayError | None]:
        """The split that is held, and what kept a later one from being read; read again after a second."""
        with self._lock:
            now = self._monotonic()
            if now - self._read_at >= EVERY:
                self._read_at = now
                try:
                    split = self._read_split()
                    if split is None:
                        self._held = None
                    elif self._held is None or self._held[0] != split:
                        by_condition = any(pin.where is not None for pin in split.pins)
                        kinds = self._kinds_of(split.champion) if by_condition else {}
                        self._held = split, Assigner(split, kinds), kinds
                    self._trouble = None
                except MainstayError as error:
                    self._trouble = error
            return self._held, self._trouble


def provider(use_case: UseCase, settings: Settings | None = None) -> SplitProvider:
    """The provider of a use case's flags, over the platform of these settings (None: those of the environment).

    It makes one connection to the ledger, when it is first asked.
    """
    opened = open_platform(settings or read_settings())
    opened_ledger = opened.ledger

    def read_split() -> Split | None:
        fact = opened_ledger.latest(use_case.name, SPLITS, use_case.name)
        return None if fact is None else fact.body

    def kinds_of(version: str) -> Mapping[str, Kind]:
        _, bundle = load(use_case.name, version, opened.blobs, opened.trusted())
        return {each.name: each.kind for each in bundle.encoder.inputs}

    def stored(entity: str) -> str:
        column = use_case.contract.columns.get(use_case.entity or "")
        if column is not None and column.personal == "drop":
            raise Refused("its name is dropped at the door: who answers is drawn by the request, not by the entity")
        return stored_name(opened, use_case, entity)

    return SplitProvider(use_case.name, read_split, kinds_of, stored, opened.settings.clock)


def ask(flags: FeatureProvider, flag: str, entities: Sequence[str]) -> Mapping[str, str | None]:
    """What a flag system answers about each entity (its targeting key): a text, or None where it had no answer.

    Unavailable where it answers about none of them: a flag system that is down must not read as one that says nothing.
    """
    flags.initialize(EvaluationContext())
    try:
        answers = {entity: _answer(flags, flag, entity) for entity in entities}
    finally:
        flags.shutdown()
    failed = [why for _, why in answers.values() if why is not None]
    if entities and len(failed) == len(entities):
        raise Unavailable(
            f"the flag system answers about none of {len(entities)} entities ({failed[0]})", f"flag {flag}"
        )
    return {entity: text for entity, (text, _) in answers.items()}


def _answer(flags: FeatureProvider, flag: str, entity: str) -> tuple[str | None, str | None]:
    try:
        found = flags.resolve_string_details(flag, "", EvaluationContext(entity))
    except OpenFeatureError as error:
        return None, error.error_message or type(error).__name__
    if found.error_code is not None:
        return None, found.error_message or found.error_code.value
    return found.value, None


def _error(default: T, code: ErrorCode, words: str) -> FlagResolutionDetails[T]:
    return FlagResolutionDetails(default, error_code=code, error_message=words, reason=Reason.ERROR)


def _typed(given: Any, kind: Kind) -> Value:
    """A context's attribute as a served feature: what is of another kind is missing."""
    if kind == "category":
        return given if isinstance(given, str) else None
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None
