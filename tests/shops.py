"""A small use case with every type of feature, for tests of what happens to its records."""

from collections.abc import Sequence

from modelyard.contract import Feature, FeatureType, Limits, Target, TaskKind
from modelyard.use_case import Candidate, RecordKey, UseCase

HEADER = "shop,Floor Area,staff,open sunday,kind,verdict"
FEATURES = (
    Feature(name="floor_area", type=FeatureType.NUMBER, valid=Limits(minimum=1, maximum=5000)),
    Feature(name="staff", type=FeatureType.INTEGER, nullable=True, valid=Limits(minimum=0)),
    Feature(name="open_sunday", type=FeatureType.BOOLEAN, nullable=True),
    Feature(name="kind", type=FeatureType.CATEGORY, nullable=True, categories=("bakery", "book shop")),
)


def shops(
    *,
    name: str = "shops",
    key: RecordKey | None = RecordKey(name="shop"),  # noqa: B008 (it is frozen)
    features: Sequence[Feature] = FEATURES,
    classes: tuple[int | str, ...] = ("good", "bad"),
) -> UseCase:
    """The use case; what a test is about is given, the rest is as ever."""
    return UseCase(
        name=name,
        title="Shops",
        kind=TaskKind.BINARY if classes else TaskKind.REGRESSION,
        key=key,
        features=tuple(features),
        target=Target(name="verdict", classes=classes),
        source="shops.csv",
        candidates=(Candidate(name="any", estimator="sklearn.dummy.DummyClassifier"),),
    )


def rows(count: int, first: int = 1) -> list[str]:
    """So many good lines, their keys counted on from the first."""
    kinds = ("bakery", "book shop", "")
    verdicts = ("good", "bad")
    return [
        f"s{n},{1 + n % 4000 / 2},{n % 7 or ''},{n % 2},{kinds[n % 3]},{verdicts[n % 2]}"
        for n in range(first, first + count)
    ]


def csv_of(lines: Sequence[str], header: str = HEADER) -> str:
    """A file's text."""
    return "\n".join([header, *lines, ""])
