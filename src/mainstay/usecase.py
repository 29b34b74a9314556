"""What a team writes: one `mainstay.yaml`, as frozen and checked objects. Reading the file is `usecase_file.py`."""

import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mainstay.digests import digest
from mainstay.errors import Refused
from mainstay.expressions import Expression, Kind, parse
from mainstay.recipe import Recipe
from mainstay.section import Section
from mainstay.spans import PerDay, Span, check_time_format
from mainstay.suggest import did_you_mean
from mainstay.usecase_gates import Gates
from mainstay.usecase_plan import Margins as Margins
from mainstay.usecase_plan import Notice as Notice
from mainstay.usecase_plan import Plan as Plan
from mainstay.usecase_plan import Share, check_plan
from mainstay.usecase_plan import Step as Step


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def normal(text: str) -> str:
    """A text in Unicode's NFC without white space around it: how categories are compared, in contracts and in rows."""
    return unicodedata.normalize("NFC", text).strip()


def _class(text: str) -> str:
    if not normal(text):
        raise ValueError("a blank is a missing value, not a category; say `nullable: true`")
    return normal(text)


def _not_reserved(name: str) -> str:
    if name.startswith("__") and name.endswith("__"):
        raise ValueError(f"`{name}`: names between double underscores are kept for Mainstay's own columns")
    return name


Class = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | int | float), AfterValidator(_class)]
Values = tuple[Class, ...]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_not_reserved)]


class Outliers(Section):
    """How many values may lie how far out, by Tukey's fences."""

    beyond: float = Field(3, gt=0, description="distances between the quartiles, from either quartile outwards")
    share_at_most: Share = Field(0.01, description="share of the values that may lie beyond")


class Column(Section):
    """What the source promises of one column."""

    type: Literal["identifier", "integer", "number", "category", "timestamp"]
    nullable: bool = False
    unique: bool = False
    range: tuple[float, float] | None = Field(None, description="least and greatest value, both included")
    values: Values | None = Field(None, description="every category there is")
    unit: str | None = None
    same_unit: bool = Field(True, description="false where values may be those of the version before times a constant")
    outliers: Outliers | None = Field(None, description="how many values may lie far from the others")
    decimal: Literal[".", ","] = Field(".", description="what stands before the fraction in texts of numbers")
    thousands: Literal[",", ".", " ", "'"] | None = Field(None, description="what parts the thousands, as in 1,234.5")
    format: str | None = Field(None, description="how texts of times are written, as in %d.%m.%Y; else RFC 3339")
    missing: tuple[str, ...] = Field((), description="texts that mean a missing value, beside a blank")
    personal: Literal["hash", "drop"] | None = Field(None, description="kept as a pseudonym, or not at all")
    feature: bool = Field(True, description="false keeps the column out of the model")
    description: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.range is not None and self.type not in ("integer", "number"):
            raise ValueError(f"a {self.type} column has no range")
        if self.outliers is not None and (self.type not in ("integer", "number") or self.personal is not None):
            raise ValueError(f"a {'personal' if self.personal else self.type} column has no outliers")
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"range [{self.range[0]:g}, {self.range[1]:g}] is upside down")
        if (self.decimal != "." or self.thousands) and self.type not in ("integer", "number"):
            raise ValueError(f"a {self.type} column has no decimal point and no thousands")
        if self.decimal == self.thousands:
            raise ValueError(f"`{self.decimal}` cannot be the decimal point and part the thousands")
        if self.format is not None and self.type != "timestamp":
            raise ValueError(f"a {self.type} column has no format of times")
        if self.format is not None:
            check_time_format(self.format)
        if self.values is not None and self.type != "category":
            raise ValueError(f"only a category column lists its values, not one of type {self.type}")
        if self.values is not None and len(set(self.values)) != len(self.values):
            raise ValueError("a value is listed twice")
        return self

    @property
    def kind(self) -> Kind:
        """How expressions and the encoder see it."""
        return "number" if self.type in ("integer", "number") else "category"


def _is_input(column: Column) -> bool:
    return column.feature and column.type in ("integer", "number", "category") and column.personal is None


class Rows(Section):
    at_least: int = Field(1, ge=1)
    bad_share_at_most: Share = Field(0.01, description="share of rows that may be quarantined")
    newest_within: Span | None = Field(None, description="how old the newest row may be; needs event_time")


class Contract(Section):
    """What the source promises."""

    rows: Rows = Rows()
    delimiter: Literal[",", ";", "\t", "|"] | None = Field(
        None, description="what separates the values of a text file; else a comma, and a tab in .tsv"
    )
    columns: dict[ColumnName, Column] = Field(min_length=1)
    rules: tuple[str, ...] = ()


class EventTime(Section):
    column: ColumnName
    known_at: ColumnName | None = None
    optional: bool = Field(False, description="a source without the column is a snapshot")


class Label(Section):
    """What is predicted, and when it can be known."""

    column: ColumnName
    positive: Class
    horizon: Span = timedelta(days=30)
    grace: Span = timedelta(0)
    absent_means: Class = Field("unknown", description="the class that silence means once ripe, or `unknown`")
    action_changes_outcome: bool = True


class View(Section):
    """A named set of features keyed by the use case's entity and by event time: a history of its own."""

    name: Name
    source: Annotated[str, Field(min_length=1)]
    columns: dict[ColumnName, Column] = Field(min_length=1)
    event_time: ColumnName
    known_at: ColumnName | None = Field(None, description="when it reached us; without it, at once")
    ttl: Span | None = Field(None, description="how old a value may be and still be used; without it, any age")
    description: str | None = None
    owner: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)

    @property
    def features(self) -> Mapping[str, Column]:
        """What it adds to the inputs. Where an entity has no value in time it is missing, so each of them may be."""
        return {
            name: column.model_copy(update={"nullable": True})
            for name, column in self.columns.items()
            if _is_input(column) and name not in (self.event_time, self.known_at)
        }


class Features(Section):
    service: Name | None = None
    views: tuple[View, ...] = ()
    derived: dict[ColumnName, str] = Field(default_factory=dict)
    description: str | None = None
    owner: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class Profit(Section):
    """What acting on a prediction costs and brings, in one currency."""

    offer_cost: float = Field(ge=0)
    value_saved: float = Field(gt=0)
    save_rate: float = Field(gt=0, le=1)


Policy = Literal["flag", "refuse"]


class Serving(Section):
    unseen_category: Policy = "flag"
    out_of_range: Policy = "flag"
    unknown_entity: Policy = "refuse"
    stale_features: Policy = "flag"
    challenger_budget: Span = timedelta(milliseconds=50)


class Monitors(Section):
    window: Span = timedelta(days=1)
    page_budget: PerDay = Field(1 / 365, validate_default=True, description="false pages, as in 1/year")


class UseCase(Section):
    """What is predicted, for whom and under which rules."""

    schema_number: Literal[1] = Field(1, alias="schema")
    name: Name
    source: (
        Annotated[str, Field(min_length=1)]
        | Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    )
    entity: ColumnName | None = None
    event_time: EventTime | None = None
    label: Label
    contract: Contract
    features: Features = Features()
    recipe: Recipe = Recipe()
    profit: Profit | None = None
    protected: tuple[ColumnName, ...] = ()
    gates: Gates = Gates()
    serving: Serving = Serving()
    plan: Plan | None = None
    monitors: Monitors = Monitors()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        columns = self.contract.columns
        named = [("entity", self.entity), ("label.column", self.label.column)]
        named += [("protected", name) for name in self.protected]
        if self.event_time:
            named += [("event_time.column", self.event_time.column), ("event_time.known_at", self.event_time.known_at)]
        for place, name in named:
            if name is not None and name not in columns:
                hint = did_you_mean(name, columns)
                raise ValueError(f"at {place}: column `{name}` is not in the contract{hint}")
        if self.contract.rows.newest_within is not None and self.event_time is None:
            raise ValueError("at contract.rows.newest_within: without event_time no row says how new it is")
        values = columns[self.label.column].values
        if columns[self.label.column].type != "category":
            raise ValueError(f"at label.column: `{self.label.column}` must be a category, listing both classes")
        if values is None or len(values) != 2:
            raise ValueError(f"at contract.columns.{self.label.column}.values: a label has exactly two classes")
        for place, value in (("positive", self.label.positive), ("absent_means", self.label.absent_means)):
            if value not in values and (place, value) != ("absent_means", "unknown"):
                raise ValueError(f"at label.{place}: `{value}` is not a class{did_you_mean(value, values)}")
        self._check_views()
        if self.plan is not None:
            check_plan(self.plan)
            if self.plan.margins.profit is not None and self.profit is None:
                said = "without a `profit` section nobody knows what a decision is worth"
                raise ValueError(f"at plan.margins.profit: {said}")
        if not self.inputs:
            raise ValueError("at contract.columns: no column is left to predict from")
        _ = self.rules, self.derived
        return self

    def _check_views(self) -> None:
        """Values are looked up by entity as of a time, and by name: each of the three is needed, once."""
        taken = dict.fromkeys(self.contract.columns, "the contract")
        names: set[str] = set()
        for view in self.features.views:
            place = f"at features.views.{len(names)}"
            if self.entity is None or self.event_time is None:
                lacking = "event_time" if self.entity else "entity"
                raise ValueError(f"{place}: a view is looked up by entity and time; the use case has no `{lacking}`")
            if view.name in names or view.name == self.name:
                raise ValueError(f"{place}.name: `{view.name}` is taken; give each view a name of its own")
            names.add(view.name)
            if self.entity in view.columns:
                raise ValueError(f"{place}.columns: `{self.entity}` is the entity: the contract says what it is")
            for name in (view.event_time, view.known_at):
                if name in view.columns and view.columns[name].type != "timestamp":
                    raise ValueError(
                        f"{place}.columns.{name}: must be a timestamp, not of type {view.columns[name].type}"
                    )
            if not view.features:
                raise ValueError(f"{place}.columns: none of them can be predicted from")
            for name in view.features:
                if name in taken:
                    said = f"`{name}` is in {taken[name]} already; give it another name, in the query for one"
                    raise ValueError(f"{place}.columns.{name}: {said}")
                taken[name] = f"the view {view.name}"

    @property
    def classes(self) -> tuple[str, str]:
        """Both classes, the positive one last."""
        values = self.contract.columns[self.label.column].values or ()
        negative = next(value for value in values if value != self.label.positive)
        return negative, self.label.positive

    @property
    def inputs(self) -> Mapping[str, Column]:
        """The columns a request gives: the contract's, without keys, times, the label and personal data; the views'."""
        own = {
            name: column
            for name, column in self.contract.columns.items()
            if _is_input(column) and name not in (self.entity, self.label.column)
        }
        return own | {name: column for view in self.features.views for name, column in view.features.items()}

    @property
    def derived(self) -> Mapping[str, Expression]:
        """The derived features, parsed over the inputs. Refused where one reads what a request does not give."""
        kinds = {name: column.kind for name, column in self.inputs.items()}
        clash = sorted(set(self.features.derived) & {*self.contract.columns, *kinds})
        if clash:
            raise ValueError(f"at features.derived.{clash[0]}: a column of that name is in the contract already")
        return {name: _parsed(f"features.derived.{name}", text, kinds) for name, text in self.features.derived.items()}

    @property
    def rules(self) -> tuple[Expression, ...]:
        """The contract's rules across columns, parsed."""
        kinds = {name: column.kind for name, column in self.contract.columns.items()}
        return tuple(_parsed(f"contract.rules.{n}", text, kinds) for n, text in enumerate(self.contract.rules))

    @property
    def salt(self) -> str:
        """The salt of the holdout, never the seed."""
        return self.recipe.salt or self.name

    @property
    def feature_service(self) -> str:
        """The feature service a model version is bound to."""
        return self.features.service or f"{self.name.replace('-', '_')}_v1"

    @property
    def configuration(self) -> dict[str, Any]:
        """What is live apart from the model: serving, monitors, plan, label and profit, as JSON."""
        return self.model_dump(mode="json", include={"serving", "monitors", "plan", "label", "profit"})

    @property
    def contract_digest(self) -> str:
        """Of what the source promises and how its rows are told apart."""
        return digest(self.model_dump(mode="json", include={"entity", "event_time", "label", "contract"}))

    @property
    def gates_digest(self) -> str:
        """Of everything that a release verdict goes by."""
        return digest(self.model_dump(mode="json", include={"gates", "profit", "protected"}))

    @property
    def recipe_digest(self) -> str:
        """Of everything a team decides about training: recipe, features and profit; not of who owns what."""
        told = self.model_dump(mode="json", include={"recipe", "features", "profit"})
        for section in (told["features"], *told["features"]["views"]):
            for name in ("description", "owner", "tags"):
                del section[name]
        return digest(told)


def _parsed(place: str, text: str, kinds: Mapping[str, Kind]) -> Expression:
    try:
        return parse(text, kinds)
    except Refused as error:
        raise ValueError(f"at {place}: {error}") from error
