"""A step that was done: what its kept result says, in a sentence."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from modelyard.steps.compare import CompareResult
from modelyard.steps.deploy import DeployResult
from modelyard.steps.load import LoadResult
from modelyard.steps.preprocess import PreprocessResult
from modelyard.steps.promote import PromoteResult
from modelyard.steps.train import TrainResult
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import PARTS

Result = dict[str, Any]


class StepReport(NamedTuple):
    """A step that was done.

    Attributes:
        name: The step.
        part: Which of several parallel parts, such as the candidate; empty when there is one only.
        seconds: How long its task took, the start of its process included.
        result: What it came to.
    """

    name: str
    part: str
    seconds: float
    result: Result

    @property
    def task_id(self) -> str:
        """The task that ran it."""
        return f"{self.name}_{self.part}" if self.part else self.name

    @property
    def sentence(self) -> str:
        """What it came to."""
        return SENTENCES[self.name](self.result)[1]

    @property
    def is_new(self) -> bool:
        """Whether it brought anything; else all of it was there already."""
        return SENTENCES[self.name](self.result)[0]


def _load(result: Result) -> tuple[bool, str]:
    done = LoadResult.model_validate(result)
    if not done.new:
        return False, f"nothing new: batch {done.batch_id} of {done.rows_read} rows is there already"
    counts = {
        "added": done.rows_added,
        "revised": done.rows_revised,
        "unchanged": done.rows_unchanged,
        "rejected": done.rows_rejected,
    }
    what = ", ".join(f"{rows} {word}" for word, rows in counts.items() if rows or word == "added")
    why = " (why: table rejected_records of raw_data)" if done.rows_rejected else ""
    taken = {"whole": ", as the whole again", "other": ", as other records"}.get(done.taken_as or "", "")
    return done.rows_added + done.rows_revised > 0, f"{done.rows_read} rows: {what}{taken}{why}"


def _preprocess(result: Result) -> tuple[bool, str]:
    done = PreprocessResult.model_validate(result)
    parts = ", ".join(f"{done.rows[part]} {part}" for part in PARTS)
    there = "" if done.new else "nothing new: "
    return done.new, f"{there}snapshot {done.snapshot_id} of {sum(done.rows.values())} rows ({parts})"


def _train(result: Result) -> tuple[bool, str]:
    done = TrainResult.model_validate(result)
    there = "" if done.trained else "nothing new: trained already, "
    return (
        done.trained,
        f"{there}{done.primary_metric} {done.validation[done.primary_metric]:.4f} on records held out",
    )


def _compare(result: Result) -> tuple[bool, str]:
    done = CompareResult.model_validate(result)
    there = "" if done.registered else "nothing new: "
    return done.registered, f"{there}{done.candidate} is the best on records held out: version {done.version}"


def _promote(result: Result) -> tuple[bool, str]:
    done = PromoteResult.model_validate(result)
    said = (*done.reasons, *done.notes)
    because = f": {'; '.join(said)}" if said else ""
    if done.verdict is Verdict.UNCHANGED:
        return False, f"nothing new: version {done.version} is in production already"
    before = "" if done.judged else "nothing new: "
    return done.judged, f"{before}version {done.version} {done.verdict.value}{because}"


def _deploy(result: Result) -> tuple[bool, str]:
    return False, DeployResult.model_validate(result).message


# By step: whether it brought anything, and the sentence.
SENTENCES: Mapping[str, Callable[[Result], tuple[bool, str]]] = {
    "load": _load,
    "preprocess": _preprocess,
    "train": _train,
    "compare": _compare,
    "promote": _promote,
    "deploy": _deploy,
}
