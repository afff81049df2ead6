"""Has the gate judge the challenger, and moves the alias `production` if it passes. The way back is here, too."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from modelyard.contract import Contract, Frozen
from modelyard.errors import BadInput, NothingToWorkOn, StepFailed
from modelyard.objective import Objective
from modelyard.steps.compare import CompareResult
from modelyard.steps.reference import Reference, find_reference
from modelyard.steps.stores import Platform
from modelyard.stores.looks import Look
from modelyard.stores.registry import CHALLENGER, PRODUCTION, PROFILE_TAG
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import Gate, UseCase

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from modelyard.models.evaluation.evidence import Answers, Evidence
    from modelyard.models.evaluation.gate import Judgement
    from modelyard.models.onnx.agreement import Agreement
    from modelyard.models.onnx.compiled import CompiledModel
    from modelyard.stores.objects import Arrays

LOGGER = logging.getLogger(__name__)

# MLflow takes no longer ones; the verdict has all of it.
LONGEST_TAG = 5000
# So that the name of a metric of a slice fits into MLflow whole.
LONGEST_PART = 200


class JudgedBy(Frozen):
    """What a judgement follows from, besides the two versions.

    Attributes:
        snapshot_id: The snapshot whose test part they answered.
        gate: What the gate wants.
        objective: What the models are to be good at.
        slices: Columns by whose values models are also judged separately.
        approval: Who has the last word.
        release: The version of this package, as another one may judge otherwise.
    """

    snapshot_id: str
    gate: Gate
    objective: Objective
    slices: tuple[str, ...]
    approval: str
    release: str


class Judged(NamedTuple):
    """A judgement and how it came about.

    Attributes:
        judgement: What the gate says.
        look: The look at the test part; None: the answers were not looked at.
        reference: The best version ever promoted.
        notes_on_records: What is to be known of the records that it was judged on, a sentence each.
    """

    judgement: "Judgement"
    look: Look | None = None
    reference: Reference = Reference()
    notes_on_records: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be known, a sentence each."""
        return (*self.reference.notes, *self.notes_on_records, *self.judgement.notes)

    @property
    def findings(self) -> tuple[str, ...]:
        """What was compared and found, a line each."""
        from modelyard.models.evaluation.findings import lines

        return lines(self.judgement)

    def numbers(self) -> dict[str, Any]:
        """What the verdict follows from, as it is kept."""
        return self.judgement.model_dump(mode="json", exclude={"reasons"}) | {
            "notes": list(self.notes),
            "findings": list(self.findings),
            "look": self.look and self.look.model_dump(mode="json"),
            "reference_version": self.reference.version,
        }


class PromoteResult(Frozen):
    """What became of the challenger.

    Attributes:
        version: The version that was judged, or that came back.
        verdict: What became of it.
        reasons: Why it was refused, or why it was forced.
        in_production: The version in production now.
        previous_version: The version in production before.
        metrics: The judged version's metrics on the test part.
        baseline: A dummy's metrics on the same records.
        champion: The metrics on the same records of the version in production before.
        reference_version: The best version ever promoted before this one.
        reference: Its metrics on the same records, where it is not the version in production.
        notes: What else is to be known of the judgement, a sentence each.
        findings: What was compared and found, a line each.
        judged: Whether the gate has judged it now. Otherwise it had said so before, and nothing has changed since.
    """

    version: int
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    in_production: int | None
    previous_version: int | None = None
    metrics: dict[str, float]
    baseline: dict[str, float]
    champion: dict[str, float] | None = None
    reference_version: int | None = None
    reference: dict[str, float] | None = None
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    judged: bool = True

    def refusal(self, use_case: str) -> str | None:
        """The gate's refusal as a sentence; None: it did not refuse."""
        if self.verdict is not Verdict.REFUSED:
            return None
        return f"{use_case} version {self.version} was refused: {'; '.join(self.reasons)}"


def promote(
    use_case: UseCase, platform: Platform, *, unattended: bool = False, force_reason: str | None = None
) -> PromoteResult:
    """Judges the challenger and promotes it if it passes.

    Args:
        use_case: The use case.
        platform: The stores.
        unattended: Nobody is there to approve: a use case that wants a person's approval keeps its challenger waiting.
            What was refused, or waits, is not judged again while records and the version in production are the same.
        force_reason: Promote whatever the gate says, for this reason.

    Raises:
        NothingToWorkOn: There is no challenger, and nothing in production.
        BadInput: The reason of a forced promotion is empty.
    """
    if force_reason is not None and not force_reason.strip():
        raise BadInput("a forced promotion needs a reason: --force --reason TEXT")
    champion = platform.registry.aliased(use_case.name, PRODUCTION)
    challenger = platform.registry.aliased(use_case.name, CHALLENGER)
    if challenger is None:
        return _unchanged(use_case, platform, champion)
    judged_by = _judged_by(use_case, platform)
    asked = not unattended or force_reason is not None
    before = None if asked else _said_before(use_case, platform, challenger, champion, judged_by)
    if before:
        _carry_out(use_case, platform, challenger, before.verdict)
        LOGGER.info("%s version %d was %s before, and nothing is new", use_case.name, challenger, before.verdict.value)
        return before
    judged = _judge(use_case, platform, challenger, champion, judged_by.snapshot_id)
    judgement = judged.judgement
    verdict, reasons = _decide(use_case, judgement, unattended=unattended, force_reason=force_reason)
    _carry_out(use_case, platform, challenger, verdict)
    result = _result(judged, verdict, reasons, challenger, champion)
    _keep(use_case, platform, result, judged.numbers() | {"judged_by": judged_by.model_dump(mode="json")})
    platform.registry.add_metrics(use_case.name, challenger, _metrics_of_slices(judgement))
    return result


def rollback(use_case: UseCase, platform: Platform, reason: str = "rolled back by hand") -> PromoteResult:
    """Puts the version back into production that was there before the present one.

    Raises:
        NothingToWorkOn: Nothing is in production, or nothing was before.
    """
    current = platform.registry.aliased(use_case.name, PRODUCTION)
    if current is None:
        raise NothingToWorkOn(f"{use_case.name} has no version in production that could be rolled back")
    before = platform.verdicts.before(use_case.name, current)
    if before is None:
        raise NothingToWorkOn(f"{use_case.name} version {current} is the first in production: there is none before it")
    platform.registry.set_alias(use_case.name, PRODUCTION, before)
    platform.verdicts.keep(use_case.name, before, current, Verdict.ROLLED_BACK, [reason])
    LOGGER.info("%s: version %d is back in production, version %d is out", use_case.name, before, current)
    return PromoteResult(
        version=before,
        verdict=Verdict.ROLLED_BACK,
        reasons=(reason,),
        in_production=before,
        previous_version=current,
        metrics={},
        baseline={},
    )


def _unchanged(use_case: UseCase, platform: Platform, champion: int | None) -> PromoteResult:
    if champion is None:
        raise NothingToWorkOn(f"{use_case.name} has no challenger: run `modelyard train` and `modelyard compare` first")
    compared = CompareResult.model_validate(platform.results.newest(use_case.name, "compare")[0].result)
    if compared.version != champion:
        raise NothingToWorkOn(
            f"{use_case.name} has no challenger: version {compared.version} was judged already and version {champion} "
            f"is in production. `modelyard compare --use-case {use_case.name}` has it judged once more"
        )
    LOGGER.info("%s version %d is in production already", use_case.name, champion)
    return PromoteResult(
        version=champion,
        verdict=Verdict.UNCHANGED,
        in_production=champion,
        previous_version=platform.verdicts.before(use_case.name, champion),
        metrics=compared.test,
        baseline=compared.baseline,
    )


def _judged_by(use_case: UseCase, platform: Platform) -> JudgedBy:
    snapshot = platform.clean.latest(use_case.data_name)
    if snapshot is None:
        raise NothingToWorkOn(f"{use_case.name} has no snapshot to judge by: run `modelyard preprocess` first")
    return JudgedBy(
        snapshot_id=snapshot.snapshot_id,
        gate=use_case.gate,
        objective=use_case.objective,
        slices=use_case.slices,
        approval=use_case.approval,
        release=metadata.version("modelyard"),
    )


def _said_before(
    use_case: UseCase, platform: Platform, challenger: int, champion: int | None, judged_by: JudgedBy
) -> PromoteResult | None:
    """What the gate has said already. While nothing is in production it says so again: runs fail and say why."""
    kept = platform.verdicts.newest(use_case.name, challenger)
    if champion is None or kept is None or kept.verdict not in (Verdict.REFUSED, Verdict.WAITING):
        return None
    if kept.previous != champion or kept.numbers.get("judged_by") != judged_by.model_dump(mode="json"):
        return None
    return PromoteResult(
        version=challenger,
        verdict=kept.verdict,
        reasons=kept.reasons,
        in_production=champion,
        previous_version=champion,
        metrics=kept.numbers["metrics"],
        baseline=kept.numbers["baseline"],
        champion=kept.numbers["champion"],
        # Not in verdicts of former releases.
        reference_version=kept.numbers.get("reference_version"),
        reference=kept.numbers.get("reference"),
        notes=tuple(kept.numbers.get("notes", ())),
        findings=tuple(kept.numbers.get("findings", ())),
        judged=False,
    )


def _judge(use_case: UseCase, platform: Platform, challenger: int, champion: int | None, snapshot_id: str) -> Judged:
    with platform.objects.arrays() as arrays:
        records = _Records(use_case, platform, snapshot_id, arrays)
        return _judge_by(records, challenger, champion)


class _Records:
    """The records that models are judged by, and what they are asked about them."""

    def __init__(self, use_case: UseCase, platform: Platform, snapshot_id: str, arrays: "Arrays") -> None:
        from modelyard.steps.seen import TestPart

        self.use_case, self.platform, self.snapshot_id, self._arrays = use_case, platform, snapshot_id, arrays
        self.train, self.test = (platform.clean.frame(use_case, snapshot_id, part) for part in ("train", "test"))
        self.part = TestPart(use_case, platform, snapshot_id)
        self.clusters = self.part.clusters

    def ask(self, model: "CompiledModel") -> "Answers":
        """What a model says of the test part."""
        from modelyard.models.evaluation.evidence import Answers
        from modelyard.models.inputs import frame_scores

        return Answers(model.contract, frame_scores(model, self.test, self._arrays))

    def objections(self, contract: Contract, versions: Sequence[int]) -> list[str]:
        """Why nothing could be said of a model by those test records that none of some versions has seen."""
        from modelyard.models.evaluation.gate import objections_to_data

        unseen, target = self.part.unseen_by(versions), contract.target.name
        clusters = None if self.clusters is None else self.clusters[unseen]
        train, test = self.train[target].to_numpy(), self.test[target].to_numpy()[unseen]
        return objections_to_data(self.use_case.gate, contract, train, test, clusters)

    def look(self, version: int) -> Look:
        """Notes that a version is judged by them."""
        looks, data_name = self.platform.looks, self.use_case.data_name
        return looks.take(data_name, version, self.snapshot_id, len(self.test), self.part.rolling)


def _judge_by(records: _Records, challenger: int, champion: int | None) -> Judged:
    from modelyard.steps.models import load_compiled

    use_case, platform = records.use_case, records.platform
    # Each is tried in a process of its own, which takes a second or more: side by side, and while the gate is imported.
    with ThreadPoolExecutor(2) as pool:
        champion_model = pool.submit(_in_production, use_case, platform, champion)
        model = records.ask(load_compiled(platform, use_case.name, challenger))
        asked = pool.submit(_agreement, use_case, platform, challenger, model.contract, records.test, model.scores)
        from modelyard.models.evaluation.gate import refuse

        in_production, agreement = champion_model.result(), asked.result()
    compared = [challenger, *([champion] if in_production and champion else [])]

    def too_few(versions: Sequence[int]) -> list[str]:
        return records.objections(model.contract, versions)

    objections = [
        *too_few([]),
        *_objections_to_contract(in_production.contract if in_production else None, model.contract),
        *platform.verdicts.objections(use_case.name, challenger),
        *_objections_to_profile(use_case, platform, challenger, champion),
    ] or _objections_to_seen(compared, too_few)
    if objections:
        return Judged(refuse(objections, agreement, len(records.test)))
    reference = find_reference(
        use_case,
        platform,
        model.contract,
        lambda version: _seen_by_best([*compared, version], too_few),
        {champion: in_production} if champion and in_production else None,
    )
    return _judge_beside(records, model, agreement, compared, in_production, reference)


def _judge_beside(
    records: _Records,
    model: "Answers",
    agreement: "Agreement",
    compared: Sequence[int],
    in_production: "CompiledModel | None",
    reference: Reference,
) -> Judged:
    """The judgement of a model by its answers, beside those of production and of the best version: a look."""
    from modelyard.models.evaluation.gate import judge

    is_another = reference.version is not None and reference.version not in compared
    other = reference.model if is_another else None
    unseen = records.part.unseen_by([*compared, *([reference.version] if is_another and reference.version else [])])
    look = records.look(compared[0])
    champion, best = (records.ask(each) if each else None for each in (in_production, other))
    gate = records.use_case.gate
    evidence = _evidence(records, model, champion=champion, reference=best, unseen=unseen)
    judgement = judge(gate, evidence, agreement, gate.error_rate(look.doubling, look.look))
    return Judged(judgement, look, reference, _notes_on_records(unseen))


def _objections_to_seen(compared: Sequence[int], too_few: Callable[[Sequence[int]], list[str]]) -> list[str]:
    """Why models cannot be judged on the test records that none has seen, and what to do."""
    challenger, *champion = compared
    if too_few([challenger]):
        return [f"version {challenger} was trained on records that are in the test part now: train again"]
    left = too_few(compared)
    if not left:
        return []
    sentence = (
        f"too many test records were in the training of version {challenger} or of version {champion[0]} in "
        f"production, or belong to a group or time that was; of the others: {'; '.join(left)}. The split has changed, "
        "so only records that come later can show which is better: load more, or replace production without proof by "
        "`modelyard promote --force --reason TEXT`"
    )
    return [sentence]


def _seen_by_best(compared: Sequence[int], too_few: Callable[[Sequence[int]], list[str]]) -> str:
    """Why the best version cannot be compared, as it has seen too many test records; empty: it can."""
    left = too_few(compared)
    return f"it was trained on test records, and of the others: {left[0]}" if left else ""


def _notes_on_records(unseen: "NDArray[np.bool_]") -> tuple[str, ...]:
    if unseen.all():
        return ()
    note = (
        f"judged on {int(unseen.sum())} of the {len(unseen)} test records: the compared models were trained on the "
        "others, or on records of the same group or time"
    )
    return (note,)


def _evidence(
    records: _Records,
    model: "Answers",
    *,
    champion: "Answers | None",
    reference: "Answers | None",
    unseen: "NDArray[np.bool_]",
) -> "Evidence":
    """What the models say of the test records that none of them has seen."""
    from modelyard.models.evaluation.evidence import Answers, Evidence
    from modelyard.models.evaluation.metrics import truth
    from modelyard.models.evaluation.slices import slice_values
    from modelyard.models.tabular.dummy import dummy_scores

    def of_unseen(answers: Answers) -> Answers:
        return Answers(answers.contract, answers.scores[unseen])

    use_case, test, contract = records.use_case, records.test, model.contract
    return Evidence(
        truth=truth(contract, test[contract.target.name].to_numpy()[unseen]),
        model=of_unseen(model),
        baseline=of_unseen(Answers(contract, dummy_scores(contract, records.train, test, use_case.objective))),
        champion=champion and of_unseen(champion),
        reference=reference and of_unseen(reference),
        clusters=None if records.clusters is None else records.clusters[unseen],
        objective=use_case.objective,
        slices={name: slice_values(contract, name, test)[unseen] for name in use_case.slices},
    )


def _agreement(
    use_case: UseCase,
    platform: Platform,
    challenger: int,
    contract: Contract,
    test: "pd.DataFrame",
    scores: "NDArray[np.floating[Any]]",
) -> "Agreement":
    """How far the compiled model is from the fitted one on the test part.

    A fitted network is not loaded again for that, as this needs its library: what it said of the test part was kept.
    """
    from modelyard.models.images.fitted_scores import SCORES_FILE, SCORES_LIMIT_BYTES, scores_of
    from modelyard.models.onnx.agreement import compare_scores
    from modelyard.steps.fitted import score_fitted

    if not use_case.has_pictures:
        return compare_scores(contract, score_fitted(platform, use_case.name, challenger, contract, test), scores)
    with TemporaryDirectory() as name:
        folder = platform.registry.download(use_case.name, challenger, Path(name), (SCORES_FILE,), SCORES_LIMIT_BYTES)
        positions, fitted = scores_of((folder / SCORES_FILE).read_bytes(), test.index, scores.shape[1])
    if not len(positions):
        raise StepFailed(f"{use_case.name} version {challenger} has seen no record of the test part: train it again")
    return compare_scores(contract, fitted, scores[positions])


def _in_production(use_case: UseCase, platform: Platform, champion: int | None) -> "CompiledModel | None":
    """The model in production, if it can answer: one that cannot must not keep better ones out for ever."""
    from modelyard.steps.models import load_compiled

    if champion is None:
        return None
    try:
        return load_compiled(platform, use_case.name, champion)
    except StepFailed as error:
        LOGGER.warning("the version in production cannot be used, and counts as none: %s", error)
        return None


def _objections_to_contract(older: Contract | None, newer: Contract) -> list[str]:
    return [f"its contract breaks clients: {change}" for change in older.breaking_changes(newer)] if older else []


def _objections_to_profile(use_case: UseCase, platform: Platform, challenger: int, champion: int | None) -> list[str]:
    """A sample's records do not say whether a model of real ones should be replaced."""
    if champion is None:
        return []
    theirs, ours = (
        platform.registry.version(use_case.name, each).tags.get(PROFILE_TAG) for each in (challenger, champion)
    )
    if theirs is None or ours is not None:
        return []
    return [f"it was trained on the profile {theirs}, and the version in production on the use case's own records"]


def _decide(
    use_case: UseCase, judgement: "Judgement", *, unattended: bool, force_reason: str | None
) -> tuple[Verdict, list[str]]:
    if judgement.passed:
        waits = unattended and use_case.approval == "manual"
        return (Verdict.WAITING, ["waits for a person's `modelyard promote`"]) if waits else (Verdict.PROMOTED, [])
    if force_reason is None:
        return Verdict.REFUSED, list(judgement.reasons)
    return Verdict.FORCED, [f"forced: {force_reason}", *judgement.reasons]


def _result(
    judged: Judged, verdict: Verdict, reasons: Sequence[str], challenger: int, champion: int | None
) -> PromoteResult:
    judgement = judged.judgement
    return PromoteResult(
        version=challenger,
        verdict=verdict,
        reasons=tuple(reasons),
        in_production=challenger if verdict in (Verdict.PROMOTED, Verdict.FORCED) else champion,
        previous_version=champion,
        metrics=judgement.metrics,
        baseline=judgement.baseline,
        champion=judgement.champion,
        reference_version=judged.reference.version,
        reference=judgement.reference,
        notes=judged.notes,
        findings=judged.findings,
    )


def _keep(use_case: UseCase, platform: Platform, result: PromoteResult, numbers: dict[str, Any]) -> None:
    name, verdict, reasons = use_case.name, result.verdict, result.reasons
    platform.verdicts.keep(name, result.version, result.previous_version, verdict, reasons, numbers)
    platform.registry.tag(
        name, result.version, {"gate": verdict.value, "gate_reasons": "; ".join(reasons)[:LONGEST_TAG]}
    )
    LOGGER.info("%s version %d: %s", name, result.version, verdict.value)
    for line in (*result.findings, *result.notes):
        LOGGER.info("%s version %d: %s", name, result.version, line)


def _metrics_of_slices(judgement: "Judgement") -> dict[str, float]:
    """The metrics of each slice by name: `slice.region=north.roc_auc` and so on."""
    found: dict[str, float] = {}
    for each in judgement.guards.slices if judgement.guards else ():
        values = {"": each.model, "_low": each.low, "_high": each.high}
        part = (each.part or "")[:LONGEST_PART]
        found |= {f"slice.{part}.{each.metric}{end}": value for end, value in values.items()}
    return found


def _carry_out(use_case: UseCase, platform: Platform, challenger: int, verdict: Verdict) -> None:
    if verdict in (Verdict.PROMOTED, Verdict.FORCED):
        platform.registry.set_alias(use_case.name, PRODUCTION, challenger)
    if verdict is not Verdict.WAITING:
        platform.registry.remove_alias(use_case.name, CHALLENGER)
