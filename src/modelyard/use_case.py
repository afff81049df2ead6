"""What a use case is; `catalog` finds them.

A use case is a Python file with one value, `USE_CASE`. It imports only the contract, this module and the standard
library: estimators are named and resolved when a step runs, so that reading a use case costs nothing.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from modelyard.contract import Contract, Derived, Feature, FeatureType, Frozen, Name, Target, TaskKind
from modelyard.errors import BadInput
from modelyard.objective import Cost, Objective

# Tables of the platform's own in the two databases.
RESERVED_NAMES = frozenset(
    {
        "api_processes",
        "batch",  # no table, but what /predict/batch means
        "batches",
        "gate_looks",
        "gate_verdicts",
        "idempotency_keys",
        "outcomes",
        "predictions",
        "predictions_other",
        "rejected_records",
        "schema_migrations",
        "served_models",
        "snapshots",
        "step_results",
    }
)
# Columns of the platform's own in a use case's tables.
RESERVED_COLUMNS = frozenset({"record_key", "revision", "batch_id", "line", "snapshot_id", "part"})
PARTS = ("train", "validation", "test")
# What a later file of a table without a key is: all of its records again, perhaps more of them, or other records.
LaterFile = Literal["whole", "other"]
# What use-case files may still say of the gate, and what to do about it.
FORMER_GATE_SETTINGS = {
    "champion_margin": "`margin` is a share of the error that is left, so that 0.02 at a ROC AUC of 0.80 is margin=0.1",
    "resamples": "take it out, as the bounds need no resamples",
}


def _moment_in_words(text: str) -> str:
    try:
        moment(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date or time in ISO 8601, such as '2026-11-20'") from None
    return text


Share = Annotated[float, Field(gt=0, lt=1)]
# Days, hours or weeks.
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}[dhw]$")]
Moment = Annotated[str, AfterValidator(_moment_in_words)]


class RecordKey(Frozen):
    """The column that identifies a record.

    Attributes:
        name: The name of the field.
        aliases: Other names that its column has in source files; "" is a column without a name.
    """

    name: Name
    aliases: tuple[str, ...] = ()


class Split(Frozen):
    """How a snapshot's records are split into parts. `split.py` has the rules.

    Without `time`, a record's part follows from the seed and one text: its key, its group (`by`), or what its features
    hold (`by_content`). With `time`, the newest records are for the test, those before them for validation.

    Attributes:
        train: The share for training.
        validation: The share for validation; in a rolling split by time, how long it lasts, such as `30d`.
        test: The share for the test; in a rolling split by time, how long it lasts, such as `30d` or `12h`.
        seed: Another one splits the records differently.
        by: The column of groups, such as customers or patients. All records of a group are in the same part.
        by_content: Records whose features are equal are in the same part.
        time: The column with the time of each record, in ISO 8601.
        validation_from: With fixed borders: when validation begins, in ISO 8601.
        test_from: With fixed borders: when the test begins, in ISO 8601.
        path: For pictures: the regular expression that finds group and time in a picture's path, with groups of these
            names, such as `(?P<patient>P[0-9]+)_`.
        aliases: Other names that the columns of `by` and `time` have in source files.
    """

    train: Share = 0.7
    validation: Share | Duration = 0.1
    test: Share | Duration = 0.2
    seed: int = 0
    by: Name | None = None
    by_content: bool = False
    time: Name | None = None
    validation_from: Moment | None = None
    test_from: Moment | None = None
    path: str | None = None
    aliases: Mapping[Name, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.by and self.by_content:
            raise ValueError("by and by_content exclude each other: a record is in one group")
        if self.by is not None and self.by == self.time:
            raise ValueError(f"{self.by} cannot be both the group and the time")
        if unknown := sorted(self.aliases.keys() - set(self.columns)):
            raise ValueError(f"aliases are given for {', '.join(unknown)}, which the split does not go by")
        return self

    @model_validator(mode="after")
    def _has_borders(self) -> Self:
        lasts = [isinstance(each, str) for each in (self.validation, self.test)]
        begins = [each is not None for each in (self.validation_from, self.test_from)]
        if self.time is None:
            if any(lasts + begins):
                raise ValueError("validation_from, test_from and durations such as '30d' need time, a column of times")
            return self
        if lasts == begins or lasts[0] != lasts[1] or begins[0] != begins[1]:
            raise ValueError(
                "a split by time has either validation_from and test_from, or durations such as validation='30d' and "
                "test='30d'"
            )
        shares = {"train", *(["validation", "test"] if self.validation_from else [])} & self.model_fields_set
        if shares:
            raise ValueError(f"a split by time has no shares: take out {', '.join(sorted(shares))}")
        if self.validation_from and self.test_from and moment(self.validation_from) >= moment(self.test_from):
            raise ValueError(f"validation_from {self.validation_from} must be before test_from {self.test_from}")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.time is None and abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError("the shares of train, validation and test must add up to 1")
        return self

    @model_validator(mode="after")
    def _finds_in_paths(self) -> Self:
        if self.path is None:
            return self
        if not self.columns:
            raise ValueError("path finds the group or time of a picture: name it with by or time")
        try:
            found = re.compile(self.path).groupindex
        except re.error as error:
            raise ValueError(f"path {self.path!r} is no regular expression: {error}") from error
        if lacking := [name for name in self.columns if name not in found]:
            raise ValueError(f"path {self.path!r} has no group named {lacking[0]}, such as (?P<{lacking[0]}>[0-9]+)")
        return self

    @property
    def shares(self) -> tuple[float, float, float]:
        """Those of train, validation and test, where there are any."""
        return self.train, _share(self.validation), _share(self.test)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it goes by apart from the key: group and time."""
        return tuple(name for name in (self.by, self.time) if name)

    @property
    def is_grouped(self) -> bool:
        """Whether some records must be in the same part."""
        return self.by is not None or self.by_content

    @property
    def is_rolling(self) -> bool:
        """Whether the borders move with the newest record."""
        return isinstance(self.test, str)

    def identity(self) -> dict[str, Any]:
        """What decides about the parts, as JSON. What is not used is left out, so that it does not matter."""
        unused = {"aliases"}
        if self.time:
            unused |= {"train", "seed"} if self.is_rolling else {"train", "validation", "test", "seed"}
        said = self.model_dump(mode="json", exclude=unused)
        return {name: value for name, value in said.items() if value is not None and value is not False}


def moment(text: str) -> datetime:
    """A date or time in ISO 8601 as a naive UTC time, as times are kept; one without a zone is taken as UTC.

    Raises:
        ValueError: It is neither.
    """
    found = datetime.fromisoformat(text)
    try:
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except OverflowError:
        raise ValueError(f"{text} is before or after all times that there are in UTC") from None


def _share(given: float | str) -> float:
    return 0.0 if isinstance(given, str) else given


class Candidate(Frozen):
    """A model to try.

    Attributes:
        name: Its name within the use case.
        estimator: Where its class is found, as `package.module.Class`.
        parameters: What the class is called with, without the seed.
        scale: Whether numbers are scaled: for linear models. Trees on scaled float32 do not compile to an equal model.
        impute: What a missing number becomes: the training part's median or mean.
        positive_share: The share that a binary target's positive class has in what the model is fitted on: records of
            the other class are left out, chosen by the seed. None: all are taken. Only fitting sees fewer records:
            probabilities are corrected for it, and threshold and metrics come from all.
    """

    name: Name
    estimator: str = Field(pattern=r"^\w+(\.\w+)+$")
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    scale: bool = False
    impute: Literal["median", "mean"] = "median"
    positive_share: float | None = Field(default=None, gt=0, lt=1)


class Gate(Frozen):
    """What a model must show before it may go into production.

    Attributes:
        level: How sure the gate is: of all models that are ever judged on a growing test part, the chance that any
            passes although the primary metric should have stopped it is at most one minus this.
        baseline_margin: By how much the primary metric must beat a dummy's; for a loss, a share of the dummy's.
        margin: By what share of the remaining error (a loss itself, for other metrics 1 minus them) a model may be
            worse than the version in production, and than the best version ever promoted. In the primary metric it
            must be shown to be no worse than that; in log loss and decision metric it must not be shown to be worse.
        accuracy_margin: By what share more wrong answers a model may be shown to give. Not used where costs or the
            accuracy itself judge decisions.
        slice_margin: By what share of the remaining error in a slice of the test part a model may be shown to be worse
            there than the version in production. None: slices refuse nothing.
        require: `not_worse`: not worse than the version in production by more than the margin. `better`: better than
            it, by however little.
        minimum_per_class: With fewer test records of a class (or groups that have one), nothing is promoted.
        minimum_test_records: With fewer test records (or groups, or blocks of time), nothing is promoted.
    """

    level: float = Field(default=0.99, gt=0.5, lt=1)
    baseline_margin: float = Field(default=0.02, ge=0)
    margin: float = Field(default=0.1, ge=0)
    accuracy_margin: float = Field(default=1, ge=0)
    slice_margin: float | None = Field(default=0.2, ge=0)
    require: Literal["not_worse", "better"] = "not_worse"
    minimum_per_class: int = Field(default=10, ge=2)
    minimum_test_records: int = Field(default=20, ge=2)

    @model_validator(mode="before")
    @classmethod
    def _without_former_settings(cls, given: Any) -> Any:
        for name in FORMER_GATE_SETTINGS.keys() & given if isinstance(given, Mapping) else ():
            raise ValueError(f"{name} is no longer a setting of Gate: {FORMER_GATE_SETTINGS[name]}")
        return given

    def error_rate(self, doubling: int, look: int) -> float:
        """The chance that each comparison may be wrong: a share of what `level` leaves for all.

        Args:
            doubling: How often the test part has doubled since the first model was judged on it, from 1.
            look: The number of the model since the test part doubled last, from 1.
        """
        # The sum of 1/1, 1/4, 1/9 and so on is π²/6.
        return (1 - self.level) * (6 / (math.pi * doubling) ** 2) * (6 / (math.pi * look) ** 2)


class Profile(Frozen):
    """Another set of records, and what models of it are to be like. What is not given is as in the use case.

    Attributes:
        source: Where its records come from.
        features: The same inputs in another form, such as smaller images.
        candidates: The same candidates with other parameters.
    """

    source: str
    features: tuple[Feature, ...] | None = None
    candidates: tuple[Candidate, ...] | None = None


class UseCase(Frozen):
    """All that Modelyard needs to know of one prediction task.

    Attributes:
        name: Name of the tables, the registered model, the DAGs and the route.
        title: Its name for people.
        description: What it is for, in a sentence or two.
        kind: What the model is asked to do.
        features: The inputs, in order.
        target: What is predicted.
        derived: What models make of the features before they look at them.
        dropped: Features that models see in derived ones only.
        key: The column that identifies a record. Without one, a record is identified by its content.
        records: What a later file is where there is no key: the `whole` table again, so that equal records are known,
            or `other` records, which are all added. None: the whole table if the file holds every record that is
            there, as often as it is there, otherwise other records.
        source: Where the records come from: a path below `DATA_URL`, or a URL of its own.
        decimal: What stands before the decimals of numbers in files. Where it is a comma, points part the thousands.
        split: How the records of snapshots are split into parts.
        candidates: The models to try.
        metric: What models are chosen by, and what the gate wants proven: of two classes `roc_auc` (the default),
            `average_precision`, `log_loss`, `brier_score`, `f1`, `accuracy`, `balanced_accuracy` or `cost`; of more
            `roc_auc_ovr` (the default), `log_loss`, `brier_score`, `accuracy`, `balanced_accuracy` or `f1_macro`; of a
            regression `r2` (the default), `mean_absolute_error`, `root_mean_squared_error` or `mean_pinball_loss`.
        decision_metric: What the threshold of two classes is chosen by, and what decisions are guarded by: of two
            classes `f1` (the default), `accuracy` or `balanced_accuracy`, with costs their mean (`cost`, the default
            then); of more `accuracy` (the default), `balanced_accuracy` or `f1_macro`.
        costs: What wrong answers cost: `costs=(Cost(actual="yes", told="no", cost=5), Cost(actual="no", told="yes",
            cost=1))`. By default, the threshold is then the one with the least cost.
        quantile: Which quantile is predicted, with `metric="mean_pinball_loss"`.
        slices: Features, categories or booleans, by whose values models are also judged separately.
        gate: What a model must show before it may go into production.
        approval: Whether the gate's word is enough, or a person promotes.
        schedule: When records are loaded, as a cron expression or preset; None: by hand.
        seed: Seed of everything random in training.
        bootstrap: `daily`: models are fitted on as many records, drawn from theirs with replacement, by the
            seed and the day of the run, so that each day has a different model. None: on the records as they are.
        intervals: How often the interval around a regression's answer is to hold the true value, such as 0.9 (0.5 to
            0.99); None: answers have no interval.
        extra: The extra of this package that training needs the libraries of.
        profiles: Other sets of records by name, each with its parameters. A load chooses one, or none; the steps after
            it follow. The gate is the same for all.
        sample: The profile that a demo takes when it is given no source.
        profile: The profile that this is the use case of.
    """

    name: Name
    title: str
    description: str = ""
    kind: TaskKind
    features: tuple[Feature, ...]
    target: Target
    derived: tuple[Derived, ...] = ()
    dropped: tuple[Name, ...] = ()
    key: RecordKey | None = None
    records: LaterFile | None = None
    source: str
    decimal: Literal[".", ","] = "."
    split: Split = Split()
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    metric: str | None = None
    decision_metric: str | None = None
    costs: tuple[Cost, ...] = ()
    quantile: float | None = None
    slices: tuple[Name, ...] = ()
    gate: Gate = Gate()
    approval: Literal["automatic", "manual"] = "automatic"
    schedule: str | None = None
    seed: int = 0
    bootstrap: Literal["daily"] | None = None
    intervals: float | None = Field(default=None, ge=0.5, le=0.99)
    extra: str | None = Field(default=None, pattern=r"^[a-z]+$")
    profiles: Mapping[Name, Profile] = Field(default_factory=dict)
    sample: Name | None = None
    profile: Name | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"{self.name} is one of the platform's own tables: choose another name")
        names = [candidate.name for candidate in self.candidates]
        if len(set(names)) < len(names):
            raise ValueError("two candidates have the same name")
        reserved = RESERVED_COLUMNS & {*self.contract().names, *self.split.columns}
        if reserved:
            raise ValueError(f"columns cannot be named {', '.join(sorted(reserved))}: the tables have such a column")
        for name, profile in self.profiles.items():
            if profile.candidates and [candidate.name for candidate in profile.candidates] != names:
                raise ValueError(f"profile {name} must have the candidates {', '.join(names)}, in that order")
            if profile.features and [feature.name for feature in profile.features] != self.contract().names:
                raise ValueError(f"profile {name} must have the features {', '.join(self.contract().names)}")
        if self.sample is not None and self.sample not in self.profiles:
            raise ValueError(f"there is no profile {self.sample} that could be the sample")
        return self

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if self.intervals is not None and self.kind is not TaskKind.REGRESSION:
            raise ValueError("only a regression has intervals: a classification's answers have probabilities")
        return self

    @model_validator(mode="after")
    def _is_keyless_where_records_are_told_apart(self) -> Self:
        if self.records and not self.is_keyless:
            what = f"{self.key.name} is the key" if self.key else "pictures are known by their content"
            raise ValueError(f"records is for tables without a key: {what}")
        return self

    @model_validator(mode="after")
    def _has_positives(self) -> Self:
        undersampled = [each.name for each in self.candidates if each.positive_share is not None]
        if undersampled and self.kind is not TaskKind.BINARY:
            raise ValueError(f"candidate {undersampled[0]}: only a binary target has a positive share")
        return self

    @model_validator(mode="after")
    def _can_be_split(self) -> Self:
        split = self.split
        features = {feature.name: feature for feature in self.features if feature.name in split.columns}
        if optional := [name for name, feature in features.items() if feature.nullable]:
            raise ValueError(f"the split goes by {optional[0]}, so this feature cannot be nullable")
        if split.time in features and features[split.time].type is not FeatureType.CATEGORY:
            raise ValueError(f"the split's time {split.time} is a feature, which must be a category of ISO 8601 texts")
        if self.has_pictures and split.columns and split.path is None:
            raise ValueError(f"pictures have no column {split.columns[0]}: the split's path says where it is found")
        if not self.has_pictures and split.path is not None:
            raise ValueError("the split's path is for pictures")
        return self

    @model_validator(mode="after")
    def _has_objective(self) -> Self:
        self.objective  # noqa: B018 - raises what does not fit
        features = {feature.name: feature for feature in self.features}
        for name in self.slices:
            if name not in features or features[name].type not in (FeatureType.CATEGORY, FeatureType.BOOLEAN):
                raise ValueError(f"slices names {name}, which is not a feature of type category or boolean")
        return self

    @property
    def objective(self) -> Objective:
        """What its models are to be good at."""
        return Objective.of(self.kind, self.target, self.metric, self.decision_metric, self.costs, self.quantile)

    @property
    def data_name(self) -> str:
        """What its records are kept under: its name, of a profile followed by the profile's."""
        return f"{self.name}__{self.profile}" if self.profile else self.name

    @property
    def has_pictures(self) -> bool:
        """Whether its records are pictures, which are kept as files and not in tables."""
        return self.kind is TaskKind.IMAGE

    @property
    def is_keyless(self) -> bool:
        """Whether its records are rows of a table without a key: known by what they hold, equal ones by a number."""
        return self.key is None and not self.has_pictures

    def in_profile(self, name: str | None) -> "UseCase":
        """The use case in one of its profiles; None: as it is.

        Raises:
            BadInput: There is no such profile; the message lists those there are.
        """
        if name is None:
            return self
        if name not in self.profiles:
            known = ", ".join(self.profiles) or "none"
            raise BadInput(f"use case {self.name} has no profile {name!r}; it has: {known}")
        given = {field: value for field, value in self.profiles[name] if value is not None}
        return self.model_copy(update=given | {"profile": name})

    def contract(self) -> Contract:
        """What its models take and give, before any of them has seen data."""
        return Contract(
            use_case=self.name,
            title=self.title,
            description=self.description,
            kind=self.kind,
            key=self.key.name if self.key else None,
            group=self.split.by,
            time=self.split.time,
            features=self.features,
            target=self.target,
            derived=self.derived,
            dropped=self.dropped,
        )

    def candidate(self, name: str) -> Candidate:
        """The candidate of that name.

        Raises:
            BadInput: There is none; the message lists those there are.
        """
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        known = ", ".join(candidate.name for candidate in self.candidates)
        raise BadInput(f"use case {self.name} has no candidate {name!r}; it has: {known}")
