"""What the API says, as far as the frontend shows it. What it says beyond that is left alone."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

Value = float | int | bool | str | None
Label = int | str
Record = dict[str, Value]
# All the digits that a number surely has, and as many as say something of one below LARGE.
FLOAT_DIGITS = 15
SMALL_DIGITS = 6
LARGE = 1e5


class Said(BaseModel):
    """A part of an answer of the API."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Range(Said):
    """From where to where; an end that is None is open."""

    minimum: float | None = None
    maximum: float | None = None


class Field(Said):
    """One input of a model, as its contract declares it."""

    name: str
    title: str
    type: str
    unit: str = ""
    help: str = ""
    nullable: bool = False
    valid: Range = Range()
    seen: Range = Range()
    categories: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


class Target(Said):
    """What is predicted."""

    name: str
    title: str = ""
    unit: str = ""
    classes: tuple[Label, ...] = ()
    class_titles: tuple[str, ...] = ()

    def title_of(self, prediction: Label | float) -> str:
        """What a prediction is called for people."""
        if not self.classes:
            return f"{number(prediction)} {self.unit}".strip()
        titles = dict(zip(map(str, self.classes), self.class_titles, strict=False))
        return titles.get(str(prediction), str(prediction))


class ReliabilityBin(Said):
    """Test records with similar probabilities, and the share of them for which it came true."""

    records: int
    probability: float
    share: float


class Estimate(Said):
    """A number with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Reliability(Said):
    """How reliable probabilities were in the test part."""

    log_loss: Estimate
    brier_score: Estimate
    calibration_error: Estimate
    bins: tuple[ReliabilityBin, ...] = ()


class UseCase(Said):
    """What is served of a use case."""

    title: str = ""
    description: str = ""
    model_version: int
    loaded_at: datetime
    key: str | None = None
    features: tuple[Field, ...]
    target: Target
    threshold: float | None = None
    coverage: float | None = None
    reliability: Reliability | None = None
    example: Record = {}

    @property
    def picture(self) -> Field | None:
        """The feature that is a picture, if one is."""
        return next((feature for feature in self.features if feature.type == "image"), None)


class Info(Said):
    """What is served."""

    default_use_case: str
    use_cases: dict[str, UseCase]

    def title_of(self, name: str) -> str:
        """A use case's name for people, also when no version of it is served."""
        served = self.use_cases.get(name)
        return (served and served.title) or spaced(name)


class Answer(Said):
    """A model's answer to a record."""

    prediction: Label | float
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    lower: float | None = None
    upper: float | None = None
    model_version: int
    request_id: str
    warnings: tuple[str, ...] = ()


class Challenger(Said):
    """The version that waits for the gate or for a person, beside the one that answers."""

    model_version: int
    asked: bool = False
    detail: str = ""


class UseCaseHealth(Said):
    """What the API does for a use case."""

    model_version: int | None = None
    target_version: int | None = None
    self_test: str | None = None
    detail: str = ""
    shadow: Challenger | None = None


class Health(Said):
    """How the API is."""

    ready: bool
    database: str = ""
    registry: str = ""
    use_cases: dict[str, UseCaseHealth] = {}


class Service(Said):
    """A service of the platform."""

    name: str
    purpose: str = ""
    link: str | None = None
    healthy: bool
    detail: str = ""


class BrokenFile(Said):
    """A file that should declare a use case, and does not."""

    file: str
    line: int | None = None
    reason: str

    @property
    def place(self) -> str:
        """The file, with its line where there is one."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Services(Said):
    """The services of the platform, and the files of use cases that cannot be used."""

    services: tuple[Service, ...]
    broken_use_cases: tuple[BrokenFile, ...] = ()


class KeptPrediction(Said):
    """A prediction that was answered before."""

    request_id: str
    created_at: datetime
    model_version: int
    record_key: str | None = None
    prediction: Label | float
    probabilities: dict[str, float] | None = None
    lower: float | None = None
    upper: float | None = None

    @property
    def probability(self) -> float | None:
        """That of the class that was predicted."""
        return (self.probabilities or {}).get(str(self.prediction))


class LastPredictions(Said):
    """What was answered last."""

    predictions: tuple[KeptPrediction, ...]


def spaced(name: str) -> str:
    """A name as people would write it."""
    return name.replace("_", " ").capitalize()


def number(value: Any) -> str:
    """A number for people: of a large one all digits, of others as many as say something."""
    digits = FLOAT_DIGITS if abs(value) >= LARGE else SMALL_DIGITS
    rounded = float(f"{float(value):.{digits}g}") + 0.0
    return f"{rounded:,.0f}" if rounded.is_integer() else f"{rounded:,}"
