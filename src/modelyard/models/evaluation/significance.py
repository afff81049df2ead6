"""How sure a metric is, or the difference between two models' when both were asked about the same records.

Every metric here is to first order a mean of what single records bring in: each has an influence, the derivative of the
metric by the record's weight, and the squares of all influences add up to the metric's variance. Of areas that is the
variance of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988). Influences of two models on the same records can
be subtracted, and those of several classes averaged, so that covariances come by themselves.

Records of one cluster are not independent: their influences are added up first, and the clusters are what is counted
(for areas, Obuchowski, Biometrics 53 (1997)).

A variance that comes from few records, or from a few that count for nearly all, is itself uncertain: Student's t takes
the place of the normal distribution, with the degrees of freedom that Satterthwaite, Biometrics 2 (1946), gives to the
sum of the classes' variances, each by its fourth moment. Unlike resamples, the bounds hold at any error rate.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

Floats = NDArray[np.float64]
# Fewer make no bound truer in the simulations, and refuse everything where two models differ on two or three records.
LEAST_FREEDOM = 3
# On each side of an interval: it holds in 95 of 100 cases.
OUTSIDE_INTERVAL = 0.025


class Measured(NamedTuple):
    """A metric of a model on some records, or its difference to another one's.

    Attributes:
        value: The metric.
        influences: Its derivative by each record's weight, of shape (records,); within a stratum they add up to 0.
        strata: Of which part of the records each is that the metric takes a mean of: its class, or zeros.
        chance_error: The standard error of a model whose scores say nothing; 0 where that is not known.
        clusters: The cluster of each record; None: each is its own.
    """

    value: float
    influences: Floats
    strata: NDArray[Any]
    chance_error: float = 0.0
    clusters: NDArray[Any] | None = None

    def minus(self, other: "Measured") -> "Measured":
        """The difference to another model on the same records."""
        return self._replace(
            value=self.value - other.value,
            influences=self.influences - other.influences,
            chance_error=max(self.chance_error, other.chance_error),
        )


def lower_bound(measured: Measured, error_rate: float) -> float:
    """What the true value is above, but for a chance of `error_rate`."""
    error, freedom = standard_error(measured)
    return measured.value - _quantile(error_rate, freedom) * error


def upper_bound(difference: Measured, error_rate: float, least_error: float) -> float:
    """What a true difference is below, but for a chance of `error_rate`.

    Args:
        difference: The difference between two models. Where no record tells them apart, there is none.
        error_rate: The chance.
        least_error: A standard error that is there besides: few records may agree by chance.
    """
    if not difference.influences.any():
        return difference.value
    error, freedom = standard_error(difference)
    width = _quantile(error_rate, max(freedom, LEAST_FREEDOM)) * float(np.hypot(error, least_error))
    return difference.value + width


def lower_bound_beside_chance(difference: Measured, error_rate: float) -> float:
    """The lower bound beside a model that says nothing, which holds for models of noise however few records are.

    Such a model's area has a known error, which the records at hand may understate.
    """
    by_chance = -float(ndtri(error_rate)) * difference.chance_error
    return min(lower_bound(difference, error_rate), difference.value - by_chance)


def interval(measured: Measured, least_error: float) -> tuple[float, float]:
    """Between what the true value is in 95 of 100 cases.

    Args:
        measured: What was measured.
        least_error: A standard error that is there besides: few records may agree by chance.
    """
    error, freedom = standard_error(measured)
    width = _quantile(OUTSIDE_INTERVAL, max(freedom, LEAST_FREEDOM)) * float(np.hypot(error, least_error))
    return measured.value - width, measured.value + width


def standard_error(measured: Measured) -> tuple[float, float]:
    """Standard error and its degrees of freedom."""
    strata = np.unique(measured.strata)
    parts = [_part(measured, stratum) for stratum in strata]
    variances = np.array([np.sum(part**2) for part, _ in parts])
    uncertainty = sum(variance**2 / _freedom(part) for variance, (part, _) in zip(variances, parts, strict=True))
    freedom = variances.sum() ** 2 / uncertainty if uncertainty > 0 else 1.0
    # Clusters may have records of several strata, whose influences belong together.
    total = variances.sum() if measured.clusters is None else _variance_of_clusters(parts)
    return float(np.sqrt(total)), float(freedom)


def effective_count(members: NDArray[np.bool_], clusters: NDArray[Any] | None) -> float:
    """How many independent records some are worth, if those of one cluster say the same (Kish's effective size).

    Args:
        members: Which of the records are meant.
        clusters: The cluster of each record; None: each is its own.
    """
    if clusters is None:
        return float(members.sum())
    sizes = np.unique(clusters[members], return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / np.sum(sizes**2)) if len(sizes) else 0.0


def _quantile(error_rate: float, freedom: float) -> float:
    """What Student's t is above with a chance of `error_rate`; as in `scipy.stats`, but at once."""
    return -float(stdtrit(freedom, error_rate))


def _part(measured: Measured, stratum: Any) -> tuple[Floats, NDArray[Any]]:
    """What each independent unit of a stratum brings in, scaled so that squares add up to a variance, and the units."""
    here = measured.strata == stratum
    influences = measured.influences[here]
    units = np.arange(len(influences))
    if measured.clusters is not None:
        units, places = np.unique(measured.clusters[here], return_inverse=True)
        influences = np.bincount(places, weights=influences)
    # Of one unit nothing is known.
    scale = np.sqrt(len(units) / (len(units) - 1)) if len(units) > 1 else np.inf
    return np.where(influences == 0, 0.0, influences * scale) if np.isfinite(scale) else np.full(1, np.inf), units


def _variance_of_clusters(parts: list[tuple[Floats, NDArray[Any]]]) -> float:
    units, places = np.unique(np.concatenate([units for _, units in parts]), return_inverse=True)
    sums = np.bincount(places, weights=np.concatenate([part for part, _ in parts]), minlength=len(units))
    return float(np.sum(sums**2))


def _freedom(influences: Floats) -> float:
    """Degrees of freedom of a variance: the more a few records count for, the fewer."""
    squares = influences**2
    if not squares.any() or not np.isfinite(squares).all():
        return 1.0
    # 0 where all count alike. A variance's own one is as that of a normal one with so many degrees of freedom.
    spread = float(np.mean(squares**2) / np.mean(squares) ** 2) - 1
    most = len(squares) - 1
    return float(np.clip(2 * len(squares) / max(spread, 1e-9) - 1, min(LEAST_FREEDOM, most), most))
