"""Fits one candidate on a snapshot, judges and compiles it, and keeps it; unless that has been done already."""

import hashlib
import json
import logging
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from modelyard.contract import Contract, Frozen, Target
from modelyard.errors import BadInput
from modelyard.split import Borders
from modelyard.steps.extras import check_extra
from modelyard.steps.revision import code_fingerprint, git_revision
from modelyard.steps.stores import Platform
from modelyard.steps.weights import Weights, on_this_machine, pretrained_weights
from modelyard.use_case import PARTS, Candidate, UseCase

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from modelyard.models.cross_validation import Dependence
    from modelyard.models.fit import Fitted

LOGGER = logging.getLogger(__name__)

# Of one record, R² is no number.
FEWEST_RECORDS = 2


class TrainResult(Frozen):
    """What came of training one candidate.

    Attributes:
        candidate: Its name.
        snapshot_id: The snapshot it was trained on.
        fingerprint: Same fingerprint: same snapshot, parameters and code.
        run_id: Its run in MLflow.
        model_uri: Its model in MLflow.
        primary_metric: The metric that candidates are chosen by.
        validation: Metrics that choose: of answers to records of the training and the validation part that were not
            fitted on. Of many records, and of pictures, these are the validation part's alone.
        test: Metrics on the test part, which chooses nothing.
        baseline: A dummy's metrics on the test part.
        threshold: From which probability on the answer is the positive class.
        compiled_difference: Largest difference between the compiled and the fitted model's scores.
        compiled_agrees: Whether the two are the same model for all that matters.
        trained: Whether it was trained now; else it was there already.
    """

    candidate: str
    snapshot_id: str
    fingerprint: str
    run_id: str
    model_uri: str
    primary_metric: str
    validation: dict[str, float]
    test: dict[str, float]
    baseline: dict[str, float]
    threshold: float
    compiled_difference: float
    compiled_agrees: bool
    trained: bool


class _Basis(NamedTuple):
    """What a training follows from besides its candidate, the code and the libraries.

    Attributes:
        snapshot_id: The snapshot.
        day: The day whose bootstrap is drawn, if one is.
        weights: What a network of pictures may start from.
        borders: Where the snapshot's parts begin, if it is split by time.
    """

    snapshot_id: str
    day: date | None
    weights: Weights | None
    borders: Borders | None


def train(
    use_case: UseCase, candidate_name: str, platform: Platform, pipeline_run: str | None, day: date
) -> TrainResult:
    """Trains one candidate on the snapshot that the pipeline run made, or on the newest one.

    Args:
        use_case: The use case.
        candidate_name: Which of its candidates.
        platform: The stores.
        pipeline_run: The pipeline run this belongs to.
        day: Of the run; it matters where the use case draws another bootstrap every day.

    Raises:
        BadInput: There is no such candidate, its estimator cannot be made, libraries for it are missing, the file that
            PRETRAINED_WEIGHTS names cannot be used, or there are too few records.
        NothingToWorkOn: There is no snapshot.
        StepFailed: The model cannot be judged or compiled.
    """
    candidate = use_case.candidate(candidate_name)
    check_extra(use_case)
    preprocessed = platform.results.newest(use_case.name, "preprocess", pipeline_run)[0]
    snapshot_id = str(preprocessed.result["snapshot_id"])
    snapshot = platform.clean.find(use_case.data_name, snapshot_id)
    # How the records were parted is the snapshot's word, whatever the use case says by now.
    split = (snapshot and snapshot.split) or use_case.split
    use_case = use_case.model_copy(update={"split": split})
    basis = _Basis(
        snapshot_id=snapshot_id,
        day=day if use_case.bootstrap == "daily" else None,
        weights=pretrained_weights(platform.settings) if use_case.has_pictures else None,
        borders=snapshot.borders if snapshot else None,
    )
    fingerprint = _fingerprint(use_case, candidate, basis)
    known = _known(use_case, platform, fingerprint)
    if known:
        LOGGER.info("%s is trained on snapshot %s already: run %s", candidate.name, basis.snapshot_id, known.run_id)
        return known
    return _train_now(use_case, candidate, platform, basis, fingerprint)


def _fingerprint(use_case: UseCase, candidate: Candidate, basis: _Basis) -> str:
    parts = {
        "snapshot": basis.snapshot_id,
        "candidate": candidate.model_dump(mode="json"),
        "contract": use_case.contract().model_dump(mode="json"),
        "objective": use_case.objective.model_dump(mode="json"),
        "seed": use_case.seed,
        "intervals": use_case.intervals,
        "code": code_fingerprint(use_case, candidate),
        "bootstrap": str(basis.day),
    }
    if basis.weights:
        parts["weights"] = basis.weights.sha256
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _known(use_case: UseCase, platform: Platform, fingerprint: str) -> TrainResult | None:
    for kept in platform.results.with_fingerprint(use_case.name, fingerprint):
        result = TrainResult.model_validate(kept.result)
        if platform.registry.has_run(result.run_id):
            return result.model_copy(update={"trained": False})
    return None


def _train_now(
    use_case: UseCase, candidate: Candidate, platform: Platform, basis: _Basis, fingerprint: str
) -> TrainResult:
    _import_skops()
    snapshot_id = basis.snapshot_id
    parts = {part: platform.clean.frame(use_case, snapshot_id, part) for part in PARTS}
    for part, frame in parts.items():
        _check_part(use_case.target, part, frame)
    platform.registry.close_unfinished(use_case.name, fingerprint)
    LOGGER.info("fitting %s on snapshot %s", candidate.name, snapshot_id)
    fitted = _fit(use_case, candidate, platform, parts, basis)
    run_id, model_uri = _keep(use_case, candidate, platform, fitted, parts, basis, fingerprint)
    return TrainResult(
        candidate=candidate.name,
        snapshot_id=snapshot_id,
        fingerprint=fingerprint,
        run_id=run_id,
        model_uri=model_uri,
        primary_metric=use_case.objective.metric,
        validation=fitted.validation,
        test=fitted.test,
        baseline=fitted.baseline,
        threshold=fitted.contract.threshold,
        compiled_difference=fitted.agreement.largest_difference,
        compiled_agrees=fitted.agreement.holds,
        trained=True,
    )


def _import_skops() -> None:
    """Imports what keeps a fitted pipeline: it searches all modules that are there, seconds long after the others."""
    import skops.io  # noqa: F401


def _check_part(target: Target, part: str, frame: "pd.DataFrame") -> None:
    """Says beforehand, and in a sentence, that nothing can be learnt from a part or said by it."""
    if len(frame) < FEWEST_RECORDS:
        raise BadInput(f"too few records: the {part} part has {len(frame)}; load more")
    known = set(frame[target.name].unique())
    missing = ", ".join(str(label) for label in target.classes if label not in known)
    if missing:
        raise BadInput(f"too few records: the {part} part has none of class {missing}; load more")


def _fit(
    use_case: UseCase,
    candidate: Candidate,
    platform: Platform,
    parts: "dict[str, pd.DataFrame]",
    basis: _Basis,
) -> "Fitted":
    train, validation, test = (parts[part] for part in PARTS)
    keys = [*train.index, *validation.index, *test.index]
    dependence = _dependence(use_case, platform, basis.snapshot_id, keys)
    if use_case.has_pictures:
        # Loads the library of networks, which takes seconds.
        from modelyard.models.images.fit import fit_pictures

        with platform.objects.arrays() as arrays, on_this_machine(basis.weights) as weights:
            return fit_pictures(use_case, candidate, parts, arrays, weights, basis.day, dependence)
    from modelyard.models.fit import fit

    return fit(use_case, candidate, train, validation, test, basis.day, dependence)


def _dependence(use_case: UseCase, platform: Platform, snapshot_id: str, keys: list[str]) -> "Dependence":
    """Which of a snapshot's records depend on each other, in the order of some keys."""
    from modelyard.models.cross_validation import Dependence
    from modelyard.steps.sides import ordered_sides

    split = use_case.split
    if not (split.is_grouped or split.time):
        return Dependence()
    return Dependence(split, *ordered_sides(use_case, platform.clean, snapshot_id, keys))


def _keep(
    use_case: UseCase,
    candidate: Candidate,
    platform: Platform,
    fitted: "Fitted",
    parts: "dict[str, pd.DataFrame]",
    basis: _Basis,
    fingerprint: str,
) -> tuple[str, str]:
    from modelyard.stores.registry import Training

    LOGGER.info("keeping %s in MLflow", candidate.name)
    training = Training(
        use_case=use_case.name,
        candidate=candidate.name,
        tags=_tags(basis, fingerprint),
        parameters=_parameters(use_case, candidate, basis)
        | _counts(use_case, parts, fitted)
        | _decided(fitted.contract)
        | _iterations(fitted),
        metrics=_metrics(fitted),
        files=fitted.files,
        history=fitted.history,
        flavor="tensorflow" if use_case.has_pictures else "sklearn",
    )
    return platform.registry.log(training, fitted.pipeline, fitted.contract, _figures(use_case, fitted, parts), parts)


def _figures(use_case: UseCase, fitted: "Fitted", parts: "dict[str, pd.DataFrame]") -> "dict[str, Figure]":
    if use_case.has_pictures:
        from modelyard.models.images.fit import figures

        return figures(fitted, parts["test"])
    from modelyard.models.fit import pictures

    return pictures(fitted, parts["test"], use_case.seed)


def _tags(basis: _Basis, fingerprint: str) -> dict[str, str]:
    tags = {"snapshot_id": basis.snapshot_id, "fingerprint": fingerprint, "git_revision": git_revision()}
    return tags | ({"bootstrap": basis.day.isoformat()} if basis.day else {})


def _parameters(use_case: UseCase, candidate: Candidate, basis: _Basis) -> dict[str, object]:
    return {
        "estimator": candidate.estimator,
        "scale": candidate.scale,
        "impute": candidate.impute,
        "positive_share": candidate.positive_share,
        "seed": use_case.seed,
        "intervals": use_case.intervals,
        **{f"split.{name}": value for name, value in use_case.split.identity().items()},
        **{f"split.{name}": value.isoformat() for name, value in basis.borders or ()},
        **_of_pictures(use_case, candidate, basis),
        **candidate.parameters,
    }


def _of_pictures(use_case: UseCase, candidate: Candidate, basis: _Basis) -> dict[str, object]:
    if not use_case.has_pictures:
        return {}
    from modelyard.models.images.training import takes_weights
    from modelyard.pictures import RESAMPLING

    height, width, channels = use_case.features[0].image_shape
    of_pictures = {"height": height, "width": width, "channels": channels, "resampling": RESAMPLING.name.lower()}
    started_from = basis.weights._asdict() if basis.weights and takes_weights(candidate) else {}
    return {
        "profile": use_case.profile,
        **{f"picture.{name}": value for name, value in of_pictures.items()},
        **{f"weights.{name}": value for name, value in started_from.items()},
    }


def _decided(contract: Contract) -> dict[str, object]:
    """What was done to probabilities, if something was."""
    calibration = contract.calibration
    return {f"calibration.{name}": value for name, value in calibration} if calibration else {}


def _counts(use_case: UseCase, parts: "dict[str, pd.DataFrame]", fitted: "Fitted") -> dict[str, object]:
    """How many records each part has, how many were fitted on, and by how many folds the choice was made.

    Of pictures also how many of each class, as nothing else of their preprocessing is kept.
    """
    counts: dict[str, object] = {f"records.{part}": len(frame) for part, frame in parts.items()}
    counts["records.fitted"] = fitted.records
    counts["folds"] = fitted.folds
    for part, frame in parts.items() if use_case.has_pictures else ():
        targets = frame[use_case.target.name]
        counts |= {f"records.{part}.{label}": int((targets == label).sum()) for label in use_case.target.classes}
    return counts


def _iterations(fitted: "Fitted") -> dict[str, object]:
    """Of a network, its history says it."""
    from modelyard.models.tabular.pipeline import iterations

    return {} if fitted.history else {f"fitted.{name}": count for name, count in iterations(fitted.pipeline).items()}


def _metrics(fitted: "Fitted") -> dict[str, float]:
    return {
        **{f"validation_{name}": value for name, value in fitted.validation.items()},
        **{f"test_{name}": value for name, value in fitted.test.items()},
        **{f"baseline_{name}": value for name, value in fitted.baseline.items()},
        "threshold": fitted.contract.threshold,
        "compiled_difference": fitted.agreement.largest_difference,
    }
