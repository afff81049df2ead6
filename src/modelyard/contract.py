"""What a model takes and what it gives, declared once; to and from JSON.

The contract is derived from a use case, filled with the statistics of the training part, and travels with every
model version. Tables, frame validation, the model's signature, the API's schema and the form are made from it.
It imports no frame library, so that the API can read it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Value = float | int | bool | str | None
Label = int | str
Pixels = NDArray[np.uint8]
# A picture is its pixels, or in JSON the base64 text of its file.
Record = Mapping[str, Value | Pixels]
Arrays = dict[str, NDArray[Any]]

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
# Postgres cuts longer names off.
LONGEST_NAME = 63
# Models compute in float32: what it cannot hold is infinite to them.
LARGEST_NUMBER = float(np.finfo(np.float32).max)
# In sentences: all the digits that a number surely has, or as many as say something of one below LARGE.
FLOAT_DIGITS = 15
SMALL_DIGITS = 7
LARGE = 1e5

# Of the contract. Formats before it are read: what they lack has a default.
NEWEST_FORMAT = 2

Name = Annotated[str, Field(pattern=rf"^{IDENTIFIER.pattern}$", max_length=LONGEST_NAME)]
Side = Annotated[int, Field(ge=8, le=1024)]
# Height, width and channels: 1 for shades of grey, 3 for red, green and blue.
Shape = tuple[Side, Side, Literal[1, 3]]


def plain(number: float) -> str:
    """A number as people write it: a large one with all its digits, and none as a power of ten."""
    digits = FLOAT_DIGITS if abs(number) >= LARGE else SMALL_DIGITS
    return np.format_float_positional(float(f"{number:.{digits}g}") + 0.0, trim="-")


class Frozen(BaseModel):
    """A value that does not change and knows its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskKind(StrEnum):
    """What a model is asked to do."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    IMAGE = "image"

    @property
    def is_classification(self) -> bool:
        """Whether the answer is one of a fixed set of classes."""
        return self is not TaskKind.REGRESSION


class FeatureType(StrEnum):
    """What a feature's value is."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    IMAGE = "image"


class Limits(Frozen):
    """What a value can be at all, both ends included.

    Attributes:
        minimum: The smallest value; None: any.
        maximum: The largest value; None: any.
    """

    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"the minimum {self.minimum:g} is above the maximum {self.maximum:g}")
        return self

    def __contains__(self, value: float) -> bool:
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def within(self, other: "Limits") -> bool:
        """Whether everything that these limits allow is allowed by the other ones too."""
        low, high = _open(self.minimum, -math.inf), _open(self.maximum, math.inf)
        return low >= _open(other.minimum, -math.inf) and high <= _open(other.maximum, math.inf)

    def __str__(self) -> str:
        if self.minimum is None:
            return "anything" if self.maximum is None else f"at most {plain(self.maximum)}"
        low = plain(self.minimum)
        return f"at least {low}" if self.maximum is None else f"{low} to {plain(self.maximum)}"


class Seen(Frozen):
    """What the training part held of a feature: the measure for warnings and drift, never a reason to refuse.

    Attributes:
        count: Records in the training part.
        missing: Records of it without a value.
        minimum: Smallest value of a numeric feature; of images, the smallest mean brightness.
        maximum: Largest value of a numeric feature; of images, the largest mean brightness.
        mean: Mean of a numeric feature, or of the images' brightness.
        deciles: The nine cuts that part a numeric feature's values into ten equal shares.
        shares: Share of the records with each value of a category.
    """

    count: int
    missing: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deciles: tuple[float, ...] = ()
    shares: dict[str, float] = {}


class Feature(Frozen):
    """One input of a model.

    Attributes:
        name: The name everywhere in Modelyard: column, request field, model input.
        type: What its value is.
        title: The name for people; made from the name when not given.
        unit: Unit of a number, for people.
        help: One sentence for whoever fills in the form.
        nullable: Whether a record may come without it.
        aliases: Other names that its column has in source files.
        valid: What a number can be at all. Outside of it a record is bad input.
        categories: The values that a category can have; empty: any text.
        shape: Height, width and channels that the model sees of an image, whatever size it comes in.
        seen: What the training part held. Filled in when a model is trained.
    """

    name: Name
    type: FeatureType
    title: str = ""
    unit: str = ""
    help: str = ""
    nullable: bool = False
    aliases: tuple[str, ...] = ()
    valid: Limits = Limits()
    categories: tuple[str, ...] = ()
    shape: Shape | None = None
    seen: Seen | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.categories and self.type is not FeatureType.CATEGORY:
            raise ValueError(f"feature {self.name}: only a category has categories, this is a {self.type}")
        if self.valid != Limits() and not self.is_counted:
            raise ValueError(f"feature {self.name}: only numbers and integers have valid limits, this is a {self.type}")
        if (self.shape is not None) != self.is_image:
            raise ValueError(
                f"feature {self.name}: an image has a shape (height, width, channels), and nothing else has"
            )
        return self

    @property
    def is_counted(self) -> bool:
        """Whether its values are numbers that limits can be put on."""
        return self.type in (FeatureType.NUMBER, FeatureType.INTEGER)

    @property
    def is_numeric(self) -> bool:
        """Whether the model sees it as a float32 (numbers, integers and booleans)."""
        return self.is_counted or self.type is FeatureType.BOOLEAN

    @property
    def is_image(self) -> bool:
        """Whether the model sees it as pixels."""
        return self.type is FeatureType.IMAGE

    @property
    def image_shape(self) -> Shape:
        """An image's height, width and channels.

        Raises:
            TypeError: It is no image.
        """
        if self.shape is None:
            raise TypeError(f"{self.name} is no image")
        return self.shape

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.title or self.name.replace("_", " ").capitalize()

    def pixels(self, value: Value | Pixels) -> Pixels:
        """An image's pixels in its shape, from its pixels or from the base64 text of its file.

        Raises:
            BadInput: The text is not that of a picture that can be used.
        """
        if isinstance(value, np.ndarray):
            return value
        # Only here: nothing else in a contract needs the library of pictures.
        from modelyard.pictures import from_base64, read_picture

        return read_picture(from_base64(str(value)), self.image_shape).pixels

    def unusual(self, value: Value | Pixels) -> str | None:
        """Says in a sentence how a valid value differs from all that the model was trained on, if it does."""
        if value is None or self.seen is None:
            return None
        if self.type is FeatureType.CATEGORY:
            return None if str(value) in self.seen.shares else f"{self.name}: the model was trained without {value!r}"
        if self.seen.minimum is None or self.seen.maximum is None:
            return None
        number = brightness(self.pixels(value)) if self.is_image else float(value)
        if self.seen.minimum <= number <= self.seen.maximum:
            return None
        return (
            f"{self.name}: {'a mean brightness of ' if self.is_image else ''}{plain(number)} is outside of what the "
            f"model was trained on ({plain(self.seen.minimum)} to {plain(self.seen.maximum)})"
        )


class Target(Frozen):
    """What a model predicts.

    Attributes:
        name: Its column.
        classes: The classes of a classification, in the order of the model's outputs; of two, the second is positive.
        title: The name for people.
        unit: Unit of a regression's target.
        aliases: Other names that its column has in source files.
        class_titles: The classes' names for people, in the same order.
    """

    name: Name
    classes: tuple[Label, ...] = ()
    title: str = ""
    unit: str = ""
    aliases: tuple[str, ...] = ()
    class_titles: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _titles_fit(self) -> Self:
        if self.class_titles and len(self.class_titles) != len(self.classes):
            raise ValueError(f"target {self.name}: {len(self.classes)} classes, {len(self.class_titles)} class titles")
        return self

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        # As text: in JSON, an answer's probabilities are named by their classes.
        texts = [str(label) for label in self.classes]
        if twice := sorted({text for text in texts if texts.count(text) > 1}):
            raise ValueError(f"target {self.name}: the class {', '.join(twice)} is declared twice")
        return self


class Term(Frozen):
    """A product of features, times a weight.

    Attributes:
        weight: What the product is multiplied by.
        features: The features that are multiplied.
    """

    weight: float = Field(default=1.0, allow_inf_nan=False)
    features: tuple[Name, ...] = Field(min_length=1)


class Derived(Frozen):
    """An input that models make of other ones: a sum of weighted products of numeric features, as they came.

    Attributes:
        name: Its name.
        terms: What is added up.
        title: The name for people; made from the name when not given.
    """

    name: Name
    terms: tuple[Term, ...] = Field(min_length=1)
    title: str = ""

    @property
    def sources(self) -> set[str]:
        """The features that it is made of."""
        return {name for term in self.terms for name in term.features}


class Calibration(Frozen):
    """What was done to a model's probabilities `p`: softmax(slopes * log(p) + intercepts). The compiled model does it.

    Attributes:
        slopes: One for each class: below 1 where the model was too sure of the class, above where not sure enough.
        intercepts: One for each class.
    """

    slopes: tuple[Annotated[float, Field(gt=0)], ...]
    intercepts: tuple[float, ...]


class Estimate(Frozen):
    """A number that some records say, and the ends of its interval of 95 %.

    Attributes:
        value: The number.
        low: The lower end.
        high: The upper end.
    """

    value: float
    low: float
    high: float


class ReliabilityBin(Frozen):
    """Records with similar probabilities.

    Attributes:
        records: How many.
        probability: Their mean probability.
        share: The share of them for which it came true.
    """

    records: int = Field(ge=1)
    probability: float = Field(ge=0, le=1)
    share: float = Field(ge=0, le=1)


class Reliability(Frozen):
    """How far probabilities came true in the test part: of two classes, those of the second; of more, the largest.

    Attributes:
        log_loss: The mean of minus the logarithm of what the true class was given.
        brier_score: The mean squared distance from what happened.
        calibration_error: The mean distance of the bins' probabilities from their shares, beyond chance.
        bins: Ten of equal counts, from the smallest probabilities to the largest.
    """

    log_loss: Estimate
    brier_score: Estimate
    calibration_error: Estimate
    bins: tuple[ReliabilityBin, ...]


class Interval(Frozen):
    """How far the truth is from a regression's answers: half a width at some of them, in proportion between these.

    Attributes:
        coverage: The share of the truth that is inside.
        at: Answers in rising order.
        half_widths: What to take from each of them, and to add to it. Beyond the ends, the last ones.
    """

    coverage: float = Field(gt=0, lt=1)
    at: tuple[float, ...] = Field(min_length=1)
    half_widths: tuple[Annotated[float, Field(ge=0)], ...]

    @model_validator(mode="after")
    def _matching(self) -> Self:
        if len(self.at) != len(self.half_widths) or list(self.at) != sorted(self.at):
            raise ValueError("an interval has a half width for each of its answers, which rise")
        return self

    def half_widths_of(self, answers: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Half the width of the interval around each answer."""
        return np.asarray(np.interp(answers, self.at, self.half_widths))


class Answer(NamedTuple):
    """What a model says of one record. Made for every record that is answered, and nothing in it needs a check.

    Attributes:
        prediction: The class, or the value.
        probability: Of two classes the positive one's, of more the predicted one's.
        probabilities: Of each class.
        lower: The lower end of a value's interval, where the model has intervals.
        upper: The upper end.
    """

    prediction: float | Label
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    lower: float | None = None
    upper: float | None = None


class Contract(Frozen):
    """What a model takes and gives.

    Attributes:
        format: Version of this format.
        use_case: Name of the use case, and of the registered model.
        title: Its name for people.
        description: What it is for.
        kind: What the model is asked to do.
        key: Name of the field that identifies a record, if there is one.
        group: Name of the field that says which records stand together, if there is one. It may be a feature.
        time: Name of the field that says when a record came about, if there is one. It may be a feature.
        features: The inputs, in order.
        target: The output.
        derived: What models make of the features before they look at them.
        dropped: Features that models see in derived ones only.
        threshold: From which probability on a binary answer is the positive class.
        calibration: What was done to the model's probabilities; None: they are the model's own.
        reliability: How far its probabilities came true in the test part.
        interval: The interval around a regression's answers.
        example: A valid record to start from.
    """

    format: int = Field(default=NEWEST_FORMAT, ge=1)
    use_case: Name
    title: str = ""
    description: str = ""
    kind: TaskKind
    key: Name | None = None
    group: Name | None = None
    time: Name | None = None
    features: tuple[Feature, ...] = Field(min_length=1)
    target: Target
    derived: tuple[Derived, ...] = ()
    dropped: tuple[Name, ...] = ()
    threshold: float = Field(default=0.5, ge=0, le=1)
    calibration: Calibration | None = None
    reliability: Reliability | None = None
    interval: Interval | None = None
    example: dict[str, Value] = {}

    @model_validator(mode="before")
    @classmethod
    def _readable(cls, given: Any) -> Any:
        # Before all else: what a newer format has besides would be told as a mistake.
        number = given.get("format") if isinstance(given, Mapping) else None
        if isinstance(number, int) and number > NEWEST_FORMAT:
            raise ValueError(
                f"it is of format {number}, and this release of Modelyard reads formats up to {NEWEST_FORMAT}: "
                "a newer release trained the model, and is needed to serve it"
            )
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [*self.names, self.target.name, *([self.key] if self.key else []), *self.carried]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"use case {self.use_case}: {', '.join(twice)} is declared twice")
        if self.kind is TaskKind.BINARY and len(self.target.classes) != 2:
            raise ValueError(f"use case {self.use_case}: a binary target has two classes, not {self.target.classes}")
        if self.kind is TaskKind.MULTICLASS and len(self.target.classes) < 3:
            raise ValueError(f"use case {self.use_case}: a multi-class target has three classes or more")
        if self.kind is TaskKind.REGRESSION and self.target.classes:
            raise ValueError(f"use case {self.use_case}: a regression's target has no classes")
        if self.kind is TaskKind.IMAGE and len(self.target.classes) < 2:
            raise ValueError(f"use case {self.use_case}: images are told apart into two classes or more")
        images = [feature.is_image for feature in self.features]
        if any(images) and (self.kind is not TaskKind.IMAGE or len(images) > 1):
            raise ValueError(f"use case {self.use_case}: an image goes with the kind image, and with no other feature")
        if self.kind is TaskKind.IMAGE and not any(images):
            raise ValueError(f"use case {self.use_case}: the kind image needs a feature of type image")
        return self

    @model_validator(mode="after")
    def _derivable(self) -> Self:
        numeric = {feature.name for feature in self.features if feature.is_numeric}
        names = [derived.name for derived in self.derived]
        taken = sorted({name for name in names if names.count(name) > 1 or name in {*self.names, self.target.name}})
        if taken:
            raise ValueError(f"use case {self.use_case}: the derived feature {', '.join(taken)} is there already")
        sources: set[str] = set().union(*(derived.sources for derived in self.derived))
        if sources - numeric:
            lacking = ", ".join(sorted(sources - numeric))
            raise ValueError(f"use case {self.use_case}: features are derived of {lacking}: no numeric feature")
        if useless := sorted(set(self.dropped) - sources):
            lost = ", ".join(useless)
            raise ValueError(f"use case {self.use_case}: {lost} is dropped, and in no derived feature")
        return self

    @property
    def names(self) -> list[str]:
        """The features' names in order."""
        return [feature.name for feature in self.features]

    @property
    def carried(self) -> list[str]:
        """The fields of group and time that are no features: kept with a record, and never used to predict."""
        return [name for name in (self.group, self.time) if name and name not in self.names]

    def with_seen(self, seen: Mapping[str, Seen], example: Mapping[str, Value]) -> "Contract":
        """A copy that carries the statistics of a training part and an example record."""
        features = tuple(f.model_copy(update={"seen": seen[f.name]}) for f in self.features)
        return self.model_copy(update={"features": features, "example": dict(example)})

    def to_arrays(self, records: Sequence[Record]) -> Arrays:
        """Records as the model's inputs, a column of shape (records, 1) for each feature.

        Numbers, integers and booleans are float32, missing ones NaN; categories are text, missing ones empty. Images
        are uint8 of shape (records, height, width, channels).
        """
        return {f.name: _column(f, [record.get(f.name) for record in records]) for f in self.features}

    def warnings(self, record: Record) -> list[str]:
        """A sentence for each value that the model has never seen the like of."""
        sentences = (feature.unusual(record.get(feature.name)) for feature in self.features)
        return [sentence for sentence in sentences if sentence]

    def answers(self, scores: NDArray[np.floating[Any]]) -> list[Answer]:
        """Turns a model's scores into answers.

        Args:
            scores: Probabilities of shape (records, classes), or a regression's values of shape (records, 1).

        Returns:
            One answer a record: of two classes with the positive one's probability, of more with the predicted one's.
        """
        if not self.kind.is_classification:
            return self._values(scores[:, 0].astype(np.float64))
        labels = self.target.classes
        names = [str(label) for label in labels]
        decided = zip(self.decide(scores).tolist(), scores.tolist(), strict=True)
        if len(labels) == 2:
            return [Answer(labels[index], row[1], dict(zip(names, row, strict=True))) for index, row in decided]
        return [Answer(labels[index], row[index], dict(zip(names, row, strict=True))) for index, row in decided]

    def _values(self, values: NDArray[np.float64]) -> list[Answer]:
        if self.interval is None:
            return [Answer(value) for value in values.tolist()]
        half = self.interval.half_widths_of(values)
        ends = zip(values.tolist(), (values - half).tolist(), (values + half).tolist(), strict=True)
        return [Answer(value, lower=lower, upper=upper) for value, lower, upper in ends]

    def decide(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
        """The index of the predicted class of each record, from probabilities of shape (records, classes)."""
        if len(self.target.classes) == 2:
            return np.asarray(scores[:, 1] >= self.threshold, dtype=np.intp)
        return np.asarray(np.argmax(scores, axis=1), dtype=np.intp)

    def breaking_changes(self, newer: "Contract") -> list[str]:
        """What in a newer contract would break the clients of this one, a sentence each.

        Compatible is: no new feature that must be given, none removed, no type or valid range narrowed, no class lost,
        of two classes the same positive one, no interval lost, and the same kind of answer about the same target.
        """
        theirs = {feature.name: feature for feature in newer.features}
        ours = {feature.name for feature in self.features}
        broken = [f"feature {name} was removed" for name in self.names if name not in theirs]
        broken += [f"feature {f.name} is new and must be given" for f in newer.features if _required_and_new(f, ours)]
        for feature in self.features:
            if feature.name in theirs:
                broken += _narrowed(feature, theirs[feature.name])
        return broken + self._other_classes(newer) + self._other_answers(newer)

    def _other_classes(self, newer: "Contract") -> list[str]:
        ours, theirs = self.target.classes, newer.target.classes
        lost = [f"class {label} was lost" for label in ours if label not in theirs]
        if lost or len(ours) != 2 or ours == theirs or newer.kind is not self.kind:
            return lost
        of_which = f"of {theirs[1]}" if len(theirs) == 2 else "of whichever class is predicted"
        before, after = (", ".join(map(str, classes)) for classes in (ours, theirs))
        return [f"the classes were {before} and are {after}: the probability was of {ours[1]} and would be {of_which}"]

    def _other_answers(self, newer: "Contract") -> list[str]:
        broken = [f"the kind was {self.kind} and is {newer.kind}"] if newer.kind is not self.kind else []
        if self.interval and not newer.interval:
            broken.append("answers had an interval and would have none")
        if newer.target.name != self.target.name:
            broken.append(f"the target was {self.target.name} and is {newer.target.name}")
        return broken


def brightness(pixels: Pixels) -> float:
    """How bright an image is on average, from 0 (black) to 255 (white), to a tenth."""
    return round(float(pixels.mean()), 1)


def _open(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit


def _column(feature: Feature, values: Sequence[Value | Pixels]) -> NDArray[Any]:
    if feature.is_image:
        return np.stack([feature.pixels(value) for value in values])
    if feature.is_numeric:
        numbers = [math.nan if value is None else value for value in values]
        return np.array(numbers, dtype=np.float32).reshape(-1, 1)
    texts = ["" if value is None else str(value) for value in values]
    return np.array(texts, dtype=object).reshape(-1, 1)


def _required_and_new(feature: Feature, known: set[str]) -> bool:
    return feature.name not in known and not feature.nullable


def _narrowed(older: Feature, newer: Feature) -> list[str]:
    broken = []
    if newer.type is not older.type and (older.type, newer.type) != (FeatureType.INTEGER, FeatureType.NUMBER):
        broken.append(f"feature {older.name} was of type {older.type} and is of type {newer.type}")
    if older.nullable and not newer.nullable:
        broken.append(f"feature {older.name} could be left out and must be given")
    if not older.valid.within(newer.valid):
        broken.append(f"feature {older.name} could be {older.valid} and can be {newer.valid}")
    if newer.categories and not set(older.categories or ["any text"]) <= set(newer.categories):
        broken.append(f"feature {older.name} lost categories")
    return broken
