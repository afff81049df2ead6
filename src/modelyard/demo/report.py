"""What happened in a demo: as sentences, as tables for people, as facts for scripts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from modelyard.demo.step_report import StepReport
from modelyard.steps.promote import PromoteResult
from modelyard.steps.train import TrainResult
from modelyard.use_case import UseCase

# For a reader whose window has no width: a log.
LOG_WIDTH = 140

# Behind the name of a metric that has an interval.
ENDS = ("_low", "_high")

# Of a value; only pictures are longer.
SHOWN_CHARACTERS = 200

Facts = dict[str, Any]


@dataclass(frozen=True)
class Prediction:
    """A prediction that was asked for over HTTP and read back from the database.

    Attributes:
        record: What was sent.
        answer: What came back.
        row: What `raw_data.predictions` has of it.
        seconds: How long both took.
    """

    record: Facts
    answer: Facts
    row: Facts
    seconds: float


@dataclass(frozen=True)
class DemoReport:
    """What happened in a demo.

    Attributes:
        use_case: The use case.
        steps: The steps that were done, in order.
        setup_seconds: Until all services answered.
        total_seconds: Until the end of the story.
        rows: How many rows there are: raw, rejected, clean, predictions.
        refusal: What the gate said when it refused.
        prediction: The prediction; there is none when the gate refused.
    """

    use_case: UseCase
    steps: list[StepReport]
    setup_seconds: float
    total_seconds: float = 0.0
    rows: Mapping[str, int] = field(default_factory=dict)
    refusal: str | None = None
    prediction: Prediction | None = None

    @property
    def gate(self) -> PromoteResult | None:
        """What the gate said, if it was asked."""
        results = [step.result for step in self.steps if step.name == "promote"]
        return PromoteResult.model_validate(results[-1]) if results else None

    @property
    def trainings(self) -> list[TrainResult]:
        """The candidates."""
        return [TrainResult.model_validate(step.result) for step in self.steps if step.name == "train"]

    @property
    def version(self) -> int | None:
        """The version that answers, or that stays in production after a refusal."""
        if self.prediction:
            return int(self.prediction.answer["model_version"])
        return self.gate.in_production if self.gate else None

    def seconds(self, name: str) -> float | None:
        """How long a step took; of parts that ran side by side, the longest. None: it was not done."""
        return max((step.seconds for step in self.steps if step.name == name), default=None)


def facts(story: DemoReport) -> Facts:
    """The story for scripts, as `demo.json` has it."""
    gate, prediction = story.gate, story.prediction
    seconds = {
        "setup": story.setup_seconds,
        **{name: story.seconds(name) for name in ("load", "preprocess", "train", "promote", "deploy")},
        "predict": prediction.seconds if prediction else None,
        "total": story.total_seconds,
    }
    return {
        "use_case": story.use_case.name,
        "model_version": story.version,
        "verdict": gate.verdict.value if gate else "refused",
        "metrics": gate.metrics if gate else {},
        "baseline": gate.baseline if gate else {},
        "request_id": prediction.answer["request_id"] if prediction else None,
        "rows": dict(story.rows),
        "seconds": {name: None if value is None else round(value, 2) for name, value in seconds.items()},
    }


def show(story: DemoReport) -> None:
    """Prints the story."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=LOG_WIDTH)
    console.print(_steps(story))
    if story.trainings:
        console.print(_candidates(story))
    console.print(_verdict(story), style="bold", markup=False)
    for line in (*story.gate.findings, *story.gate.notes) if story.gate else ():
        console.print(f"  {line}", markup=False, soft_wrap=True)
    if story.prediction:
        console.print(_answer(story.prediction))
        console.print(_row(story.prediction))
    if not any(step.is_new for step in story.steps) and story.refusal is None:
        console.print("nothing new: records, snapshot and models were there already", markup=False)


def _steps(story: DemoReport) -> Table:
    table = Table(title=f"{story.use_case.title}: what happened", title_justify="left")
    table.add_column("step")
    table.add_column("time", justify="right")
    table.add_column("result", overflow="fold")
    for step in story.steps:
        table.add_row(" ".join(filter(None, (step.name, step.part))), f"{step.seconds:.1f} s", step.sentence)
    return table


def _candidates(story: DemoReport) -> Table:
    trainings = story.trainings
    names = (*(training.candidate for training in trainings), "dummy baseline")
    table = Table("on the test part", title="Candidates beside the dummy baseline", title_justify="left")
    for name in names:
        table.add_column(name, justify="right")
    # A dummy's metrics follow from the candidate's threshold, too: those that the gate compared with, if it did.
    baseline = (story.gate and story.gate.baseline) or trainings[0].baseline
    for metric in _metrics(trainings[0]):
        table.add_row(metric, *(_value(found, metric) for found in (*(each.test for each in trainings), baseline)))
    return table


def _metrics(training: TrainResult) -> list[str]:
    """The metrics, the primary one first; the ends of their intervals are no metrics."""
    found = dict.fromkeys([training.primary_metric, *training.test])
    ends = {metric + end for metric in found for end in ENDS}
    return [metric for metric in found if metric not in ends]


def _value(metrics: Mapping[str, float], metric: str) -> str:
    value, (low, high) = f"{metrics[metric]:.4f}", (metrics.get(metric + end) for end in ENDS)
    return value if low is None or high is None else f"{value} ({low:.3f} to {high:.3f})"


def _verdict(story: DemoReport) -> str:
    if story.refusal is not None:
        stays = f"version {story.version} stays in production" if story.version else "nothing is in production"
        return f"gate: refused; {stays}. {story.refusal}"
    gate = story.gate
    return f"gate: version {gate.version} {gate.verdict.value}" if gate else "gate: not asked"


def _answer(prediction: Prediction) -> Table:
    table = Table("asked", "answered", title="A prediction over HTTP", title_justify="left")
    table.add_row(_lines(prediction.record), _lines(prediction.answer))
    return table


def _row(prediction: Prediction) -> Table:
    table = Table("column", "value", title="Its row in raw_data.predictions", title_justify="left")
    for column, value in prediction.row.items():
        table.add_row(column, _json(value) if isinstance(value, dict | list | None) else str(value))
    return table


def _lines(facts: Facts) -> str:
    return "\n".join(f"{name}: {_short(_json(value))}" for name, value in facts.items())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    """A text as it can be shown: of a picture in base64, the beginning."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"
