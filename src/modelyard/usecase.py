"""What a use case is, and how use cases are found.

A use case is a Python file with one value, `USE_CASE`. It imports only the contract, this module and the standard
library: estimators are named and resolved when a step runs, so that reading a use case costs nothing.
"""

import importlib
import importlib.util
import math
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NoReturn, Self

from pydantic import Field, model_validator

from modelyard.contract import Contract, Derived, Feature, Frozen, Name, Target, TaskKind
from modelyard.errors import BadInput, UnknownUseCase

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
# What use-case files may still say of the gate, and what to do about it.
FORMER_GATE_SETTINGS = {
    "champion_margin": "`margin` is a share of the error that is left, so that 0.02 at a ROC AUC of 0.80 is margin=0.1",
    "resamples": "take it out, as the bounds need no resamples",
}


class RecordKey(Frozen):
    """The column that identifies a record.

    Attributes:
        name: The name of the field.
        aliases: Other names that its column has in source files; "" is a column without a name.
    """

    name: Name
    aliases: tuple[str, ...] = ()


class Split(Frozen):
    """How a snapshot is parted. A record's part follows from its key and the seed alone, so it never changes."""

    train: float = Field(default=0.7, gt=0, lt=1)
    validation: float = Field(default=0.1, gt=0, lt=1)
    test: float = Field(default=0.2, gt=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError("the shares of train, validation and test must add up to 1")
        return self


class Candidate(Frozen):
    """A model to try.

    Attributes:
        name: Its name within the use case.
        estimator: Where its class is found, as `package.module.Class`.
        parameters: What the class is called with, without the seed.
        scale: Whether numbers are scaled: for linear models. Trees on scaled float32 do not compile to an equal model.
        impute: What a missing number becomes: the training part's median or mean.
        positive_share: The share that a binary target's positive class has in what the model is fitted on: records of
            the other class are left out, chosen by the seed. None: all are taken. Only fitting sees fewer records;
            the threshold and the metrics come from all.
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
        level: How sure the gate is: the chance that any of all the models that are ever judged on a growing test part
            passes one of its comparisons wrongly is below one minus this.
        baseline_margin: By how much the primary metric must beat a dummy's.
        margin: By what share of the error that is left (1 - ROC AUC, 1 - R²) the primary metric may be below that of
            the version in production, and below that of the best version ever promoted.
        require: `not_worse`: than the version in production, by more than the margin. `better`: than it, at all.
        minimum_per_class: With fewer test records of a class nothing is promoted.
        minimum_test_records: With fewer test records nothing is promoted.
    """

    level: float = Field(default=0.99, gt=0.5, lt=1)
    baseline_margin: float = Field(default=0.02, ge=0)
    margin: float = Field(default=0.1, ge=0)
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
        """The chance that a comparison may be wrong: a share of what `level` leaves for all.

        Args:
            doubling: How often the test part has doubled since the first model was judged on it, from 1.
            look: The number of the model since the test part doubled last, from 1.
        """
        # Of 1/1, 1/4, 1/9 and so on all add up to one.
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
        source: Where the records come from: a path below `DATA_URL`, or a URL of its own.
        decimal: What stands before the decimals of numbers in files. Where it is a comma, points part the thousands.
        split: How snapshots are parted.
        candidates: The models to try.
        gate: What a model must show before it may go into production.
        approval: Whether the gate's word is enough, or a person promotes.
        schedule: When records are loaded, as a cron expression or preset; None: by hand.
        seed: Seed of everything random in training.
        bootstrap: `daily`: models are fitted on as many records drawn from the training part with replacement, by the
            seed and the day of the run, so that a day has a model of its own. None: on the training part as it is.
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
    source: str
    decimal: Literal[".", ","] = "."
    split: Split = Split()
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    gate: Gate = Gate()
    approval: Literal["automatic", "manual"] = "automatic"
    schedule: str | None = None
    seed: int = 0
    bootstrap: Literal["daily"] | None = None
    extra: str | None = Field(default=None, pattern=r"^[a-z]+$")
    profiles: Mapping[Name, Profile] = Field(default_factory=dict)
    sample: Name | None = None
    profile: Name | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"{self.name} is a table of the platform's own: choose another name")
        names = [candidate.name for candidate in self.candidates]
        if len(set(names)) < len(names):
            raise ValueError("two candidates have the same name")
        reserved = RESERVED_COLUMNS & set(self.contract().names)
        if reserved:
            raise ValueError(f"features cannot be named {', '.join(sorted(reserved))}: the tables have such a column")
        for name, profile in self.profiles.items():
            if profile.candidates and [candidate.name for candidate in profile.candidates] != names:
                raise ValueError(f"profile {name} must have the candidates {', '.join(names)}, in that order")
            if profile.features and [feature.name for feature in profile.features] != self.contract().names:
                raise ValueError(f"profile {name} must have the features {', '.join(self.contract().names)}")
        if self.sample is not None and self.sample not in self.profiles:
            raise ValueError(f"there is no profile {self.sample} that could be the sample")
        return self

    @model_validator(mode="after")
    def _has_positives(self) -> Self:
        undersampled = [each.name for each in self.candidates if each.positive_share is not None]
        if undersampled and self.kind is not TaskKind.BINARY:
            raise ValueError(f"candidate {undersampled[0]}: only a binary target has a positive share")
        return self

    @property
    def data_name(self) -> str:
        """What its records are kept under: its name, of a profile followed by the profile's."""
        return f"{self.name}__{self.profile}" if self.profile else self.name

    @property
    def has_pictures(self) -> bool:
        """Whether its records are pictures, which are kept as files and not in tables."""
        return self.kind is TaskKind.IMAGE

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


def find_use_cases(folder: Path | None = None) -> dict[str, UseCase]:
    """All use cases by name: those in the package, and those in a folder of the user's.

    Args:
        folder: Holds use-case files outside of the package (`USE_CASES_PATH`).

    Raises:
        BadInput: A file cannot be used; the message names it and says why.
    """
    found, problems = usable_use_cases(folder)
    if problems:
        raise problems[0]
    return found


def usable_use_cases(folder: Path | None = None) -> tuple[dict[str, UseCase], list[BadInput]]:
    """The use cases that can be used, by name, and what is wrong with the files that cannot.

    Args:
        folder: Holds use-case files outside of the package (`USE_CASES_PATH`).
    """
    found: dict[str, UseCase] = {}
    problems: list[BadInput] = []
    for where, load in _places(folder):
        try:
            use_case = _use_case_of(load(), where)
            if use_case.name in found:
                raise BadInput(f"{where}: there is another use case named {use_case.name}")
            found[use_case.name] = use_case
        except BadInput as problem:
            problems.append(problem)
    return found, problems


def find_use_case(name: str, folder: Path | None = None) -> UseCase:
    """The use case of that name.

    Raises:
        UnknownUseCase: There is none; the message lists those there are.
    """
    use_cases = find_use_cases(folder)
    if name not in use_cases:
        raise UnknownUseCase(f"there is no use case {name!r}; there are: {', '.join(sorted(use_cases))}")
    return use_cases[name]


def _places(folder: Path | None) -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    package = importlib.import_module("modelyard.usecases")
    for info in pkgutil.iter_modules(package.__path__):
        name = f"modelyard.usecases.{info.name}"
        yield name, partial(importlib.import_module, name)
    if folder is None:
        return
    if not folder.is_dir():
        yield str(folder), partial(_no_folder, folder)
    for path in sorted(folder.glob("*.py")):
        yield str(path), partial(_module_of, path)


def _no_folder(folder: Path) -> NoReturn:
    raise BadInput(f"USE_CASES_PATH names {folder}, which is not a folder")


def _use_case_of(module: ModuleType, where: str) -> UseCase:
    use_case = getattr(module, "USE_CASE", None)
    if not isinstance(use_case, UseCase):
        raise BadInput(f"{where}: no USE_CASE of type UseCase is defined there")
    return use_case


def _module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"modelyard_user_use_cases.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    # A user's file can raise anything, and must take no other use case away.
    except Exception as error:
        raise BadInput(f"{path}: {error or type(error).__name__}") from error
    return module
