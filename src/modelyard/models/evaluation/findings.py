"""A judgement in lines that people read: what was compared, with whom, and what came of it."""

from collections.abc import Iterator, Sequence

from modelyard.models.evaluation.gate import Comparison, Judgement
from modelyard.models.evaluation.guards import Finding

CALLED = "share_called_positive"


def lines(judgement: Judgement) -> tuple[str, ...]:
    """What a judgement follows from: a line for each metric and each slice."""
    return (*_primary(judgement), *_guarded(judgement), *_called(judgement), *_slices(judgement))


def _primary(judgement: Judgement) -> Iterator[str]:
    weighed = judgement.weighed
    if weighed is None:
        return
    other = judgement.reference and weighed.against_reference
    named = (
        ("a dummy", weighed.against_baseline),
        ("production", weighed.against_champion),
        ("the best version", other),
    )
    beside = [_beside(name, found) for name, found in named if found]
    yield f"{weighed.against_baseline.metric} {weighed.against_baseline.model:.4g}: {', '.join(beside)}"


def _beside(name: str, found: Comparison) -> str:
    return f"{name} {found.other:.4g} (better by {found.difference:.3g}, lower bound {found.bound:.3g})"


def _guarded(judgement: Judgement) -> Iterator[str]:
    for found in judgement.guards.findings if judgement.guards else ():
        yield f"{_measured(found)}; {_refused(found)}"


def _called(judgement: Judgement) -> Iterator[str]:
    if CALLED not in judgement.metrics:
        return
    there = judgement.champion is not None and CALLED in judgement.champion
    beside = f", production {judgement.champion[CALLED]:.1%}" if there and judgement.champion else ""
    yield f"called positive: {judgement.metrics[CALLED]:.1%} of the records{beside}"


def _slices(judgement: Judgement) -> Iterator[str]:
    found = judgement.guards.slices if judgement.guards else ()
    parts: dict[str | None, list[Finding]] = {}
    for each in found:
        parts.setdefault(each.part, []).append(each)
    for part, of_part in parts.items():
        yield f"where {part} ({of_part[0].records} records): {_of_slice(of_part)}"


def _of_slice(findings: Sequence[Finding]) -> str:
    return "; ".join(_measured(found) + (", refused" if found.objection else "") for found in findings)


def _measured(found: Finding) -> str:
    beside = "" if found.other is None else f", {found.than} {found.other:.4g}"
    return f"{found.metric} {found.model:.4g} ({found.low:.4g} to {found.high:.4g}){beside}"


def _refused(found: Finding) -> str:
    allowed = f"{found.allowed or 0:.3g}"
    if found.objection:
        return f"refused: at most {allowed} worse is allowed"
    return f"not shown to be worse by more than {allowed}"
