"""The split as OpenFeature's flags, and a flag system asked about entities."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from mainstay.errors import Unavailable
from mainstay.expressions import Kind
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import Arm, Pin, Split
from mainstay.openfeature import SplitProvider, ask, provider
from mainstay.rollout.assign import Assigner
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.wiring import platform

NOW = datetime.fromisoformat("2026-01-05T12:00:00+00:00")
CANARY = Split(2, "tiny", (Arm("1.0.0", 0.7), Arm("1.1.0", 0.3)), "c1")
KINDS: dict[str, Kind] = {"age": "number", "plan": "category"}


@dataclass
class World:
    """A ledger that can be read, or not, and a clock that a test moves."""

    split: Split | Unavailable | None
    now: float = 0.0
    reads: int = 0

    def read(self) -> Split | None:
        self.reads += 1
        if isinstance(self.split, Unavailable):
            raise self.split
        return self.split

    def provider(self) -> SplitProvider:
        return SplitProvider("tiny", self.read, lambda _: KINDS, str, lambda: NOW, lambda: self.now)


def version(made: SplitProvider, entity: str | None, **features: object) -> FlagResolutionDetails[str]:
    return made.resolve_string_details("tiny.version", "?", EvaluationContext(entity, features))  # type: ignore[arg-type]


def test_a_flag_says_what_the_servers_decide_for_the_same_entity() -> None:
    made, assigner = World(CANARY).provider(), Assigner(CANARY)
    for n in range(200):
        found = version(made, f"e{n}")
        assert found.value == assigner.of(f"e{n}", now=NOW, entity=f"e{n}").version
        assert found.reason == Reason.SPLIT
        challenged = made.resolve_boolean_details("tiny.challenger", False, EvaluationContext(f"e{n}"))
        assert challenged.value is (found.value == "1.1.0")


def test_a_pin_is_a_match_and_a_condition_reads_the_context() -> None:
    pins = (Pin("1.1.0", "a tester", "ada"), Pin("1.1.0", "elders", where="age >= 65 and plan == 'basic'"))
    made = World(replace(CANARY, pins=pins)).provider()
    assert (version(made, "ada").value, version(made, "ada").reason) == ("1.1.0", Reason.TARGETING_MATCH)
    assert version(made, "x", age=70, plan="basic").reason == Reason.TARGETING_MATCH
    assert version(made, "x", age="70", plan="basic").reason == Reason.SPLIT
    assert version(made, "x").reason == Reason.SPLIT


def test_one_arm_that_answers_everybody_needs_no_entity_and_a_split_does() -> None:
    alone = World(Split(1, "tiny", (Arm("1.0.0", 1.0),), "c1")).provider()
    assert (version(alone, None).value, version(alone, None).reason) == ("1.0.0", Reason.STATIC)
    nobody = version(World(CANARY).provider(), None)
    assert (nobody.value, nobody.error_code) == ("?", ErrorCode.TARGETING_KEY_MISSING)


def test_the_split_is_read_once_a_second_and_outlives_a_dead_ledger_as_stale() -> None:
    world = World(CANARY)
    made = world.provider()
    for _ in range(10):
        version(made, "ada")
    assert world.reads == 1
    world.split, world.now = Unavailable("the ledger cannot be reached"), 1.0
    before = version(made, "ada")
    assert (before.value, before.reason) == (Assigner(CANARY).of("ada", now=NOW, entity="ada").version, Reason.STALE)
    world.split, world.now = Split(3, "tiny", (Arm("1.1.0", 1.0),), "c1"), 2.0
    assert (version(made, "ada").value, version(made, "ada").reason) == ("1.1.0", Reason.STATIC)


def test_without_a_split_there_is_the_default_and_without_a_ledger_an_error() -> None:
    assert (version(World(None).provider(), "ada").value, version(World(None).provider(), "ada").reason) == (
        "?",
        Reason.DEFAULT,
    )
    dead = version(World(Unavailable("the ledger cannot be reached")).provider(), "ada")
    assert (dead.value, dead.error_code) == ("?", ErrorCode.PROVIDER_NOT_READY)


def test_a_flag_that_is_none_is_told_with_what_was_meant() -> None:
    made = World(CANARY).provider()
    wrong = made.resolve_string_details("tiny.versoin", "?", EvaluationContext("ada"))
    assert (wrong.error_code, wrong.value) == (ErrorCode.FLAG_NOT_FOUND, "?")
    assert "did you mean `tiny.version`?" in (wrong.error_message or "")
    number = made.resolve_integer_details("tiny.version", 3)
    assert (number.error_code, number.error_message) == (ErrorCode.TYPE_MISMATCH, "tiny.version is a string")
    assert made.resolve_float_details("x", 0.5).value == 0.5
    assert made.resolve_object_details("x", {}).error_code is ErrorCode.FLAG_NOT_FOUND


@pytest.fixture
def client() -> Iterator[None]:
    yield
    api.clear_providers()


@pytest.mark.usefixtures("client")
def test_a_team_s_client_reads_the_flags_over_the_ledger_of_a_home(strict_home: Path, tiny_use_case: UseCase) -> None:
    opened = platform(Settings(home=strict_home))
    with opened.ledger:
        fact = opened.ledger.latest("tiny", SPLITS, "tiny")
        assert fact is not None
        pins = (Pin("1.1.0", "elders", where="age >= 65", until=NOW + timedelta(days=99999)),)
        made = replace(fact.body, number=2, arms=CANARY.arms, pins=pins)
        opened.ledger.write("tiny", Entry(SPLITS, "tiny", made, after=1), at=NOW, actor="operator", reason="a canary")
    api.set_provider(provider(tiny_use_case, Settings(home=strict_home)))
    asked = api.get_client().get_string_details("tiny.version", "?", EvaluationContext("bob", {"age": 70}))
    assert (asked.value, asked.reason, asked.flag_metadata["split"]) == ("1.1.0", Reason.TARGETING_MATCH, 2)


class Beta(InMemoryProvider):
    """A flag system of a team: who is in its beta gets 1.1.0, and it knows nothing of Eve."""

    def __init__(self) -> None:
        super().__init__({"beta": InMemoryFlag("off", {"on": "1.1.0", "off": ""}, context_evaluator=self._asked)})

    def _asked(self, flag: InMemoryFlag[str], context: EvaluationContext) -> FlagResolutionDetails[str]:
        if context.targeting_key == "eve":
            return FlagResolutionDetails("", error_code=ErrorCode.GENERAL, error_message="who is that?")
        return FlagResolutionDetails(flag.variants["on" if context.targeting_key == "ada" else "off"])


def test_a_flag_system_is_asked_about_each_entity_and_silence_is_no_answer() -> None:
    assert ask(Beta(), "beta", ["ada", "bob", "eve"]) == {"ada": "1.1.0", "bob": "", "eve": None}
    assert ask(Beta(), "beta", []) == {}


def test_a_flag_system_that_answers_about_nobody_is_down_and_unpins_nobody() -> None:
    with pytest.raises(Unavailable, match="answers about none of 1 entities"):
        ask(Beta(), "beta", ["eve"])
    with pytest.raises(Unavailable, match=r"flag beat: .*none of 2"):
        ask(Beta(), "beat", ["ada", "bob"])
