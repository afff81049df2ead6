"""A draft as the Python file that declares the use case: for people to read and to change."""

import ast
import json
import math
import re
import textwrap
from collections.abc import Iterator, Mapping

from modelyard.authoring.columns import Column
from modelyard.authoring.draft import Draft, feature_title, reasons_of_split
from modelyard.authoring.features import Proposal
from modelyard.authoring.few_records import FEW_SPLIT
from modelyard.authoring.names import title_and_unit
from modelyard.authoring.pictures import PictureDraft
from modelyard.contract import Feature, FeatureType, Label
from modelyard.use_case import PARTS, Candidate, Split

LINE_LENGTH = 120
INDENT = "    "
LONGEST_INDENT = 16
LONGEST_COMMENT = 3
# What a declaration may name, also in its comments, by where it is found.
NAMES = {
    "modelyard.contract": ("Feature", "FeatureType", "Limits", "Target", "TaskKind"),
    "modelyard.use_case": ("Candidate", "RecordKey", "Split", "UseCase"),
}


def declaration(draft: Draft, source: str) -> str:
    """The text of a use-case file.

    Args:
        draft: What it says.
        source: Where the records come from: below DATA_URL, or a URL or path of its own.
    """
    return _file(
        f"{draft.title}: proposed by `modelyard new` from {draft.table.records} records.", _body(draft, source)
    )


def picture_declaration(draft: PictureDraft, source: str) -> str:
    """The text of a use-case file of pictures.

    Args:
        draft: What it says.
        source: Where the folder is: below DATA_URL, or a URL or path of its own.
    """
    about = f"{draft.title}: proposed by `modelyard new` from {draft.pictures} pictures."
    return _file(about, _picture_body(draft, source))


def _file(about: str, body: Iterator[str]) -> str:
    call = "\n".join(["USE_CASE = UseCase(", *(INDENT + line for line in body), ")", ""])
    imports = (
        f"from {module} import {', '.join(name for name in names if re.search(rf'{name}[(.]', call))}"
        for module, names in NAMES.items()
    )
    return "\n".join([f'"""{about} It is yours to change."""', "", *imports, "", call])


def _picture_body(draft: PictureDraft, source: str) -> Iterator[str]:
    shape = f"({draft.side}, {draft.side}, {draft.channels})"
    split = draft.split
    yield f"name={_text(draft.name)},"
    yield f"title={_text(draft.title)},"
    yield f'description="Tells pictures of {len(draft.counts)} classes apart.",'
    yield "kind=TaskKind.IMAGE,"
    yield f"# The files have about {draft.size} pixels on the shorter side; the models see those of the shape."
    yield f'features=(Feature(name="image", type=FeatureType.IMAGE, title="Picture", shape={shape}),),'
    target = {"name": '"class_name"', "classes": _tuple(tuple(draft.counts)), "title": '"Class"'}
    yield from _long_call("target=Target", target)
    yield f"source={_text(source)},"
    if split == FEW_SPLIT:
        yield _few(f"{draft.pictures} pictures")
    yield f"split=Split(train={split.train}, validation={split.validation}, test={split.test}),"
    yield "candidates=("
    for candidate in draft.candidates:
        yield from (INDENT + line for line in _candidate(candidate))
    yield "),"
    yield "# Trained with TensorFlow: `make tensorflow`, or `make images-tensorflow` for containers."
    yield 'extra="tensorflow",'


def _body(draft: Draft, source: str) -> Iterator[str]:
    yield f"name={_text(draft.name)},"
    yield f"title={_text(draft.title)},"
    yield f"description={_text(_description(draft))},"
    yield f"kind=TaskKind.{draft.goal.kind.name},"
    if draft.key:
        yield f"key={_call('RecordKey', _named(draft, draft.key))},"
    else:
        yield from _later_files(draft)
    yield "features=("
    for proposal in draft.proposals:
        yield from (INDENT + line for line in _feature(draft, proposal))
    yield "),"
    yield from _target(draft)
    yield f"source={_text(source)},"
    if draft.table.decimal != ".":
        yield f"decimal={_text(draft.table.decimal)},"
    yield from _split(draft)
    yield "candidates=("
    for candidate in draft.candidates:
        yield from (INDENT + line for line in _candidate(candidate))
    yield "),"
    yield '# schedule="@daily",  # when records are loaded; else by hand'


def _later_files(draft: Draft) -> Iterator[str]:
    if draft.equal_records:
        equal = f"{draft.equal_records} of {draft.table.sample.num_rows}"
        yield f"# No column identifies a record, and {equal} repeat another one."
        yield "# A later file is the whole table again if it holds all that are there, otherwise other records; or:"
        yield '# records="other",'
        return
    yield "# No column identifies a record, and no two are equal: an equal one in a later file is the same record."
    yield 'records="whole",'


def _description(draft: Draft) -> str:
    title, _ = title_and_unit(draft.goal.column.name)
    count = len(draft.features)
    return f"Predicts {title or draft.goal.column.name!r} from {count} {'column' if count == 1 else 'columns'}."


def _feature(draft: Draft, proposal: Proposal) -> Iterator[str]:
    column = proposal.column
    if proposal.type is None:
        yield from _comment(f"{column.name!r} is left out: it {proposal.why_not}.")
        return
    yield from _comment(_seen(column, proposal.type))
    doubt = proposal.doubt or _doubt_of_leak(draft, column)
    if doubt:
        yield from _comment(f"Doubtful: it {doubt}.")
    yield "Feature("
    for name, value in _arguments(draft, proposal, proposal.type).items():
        yield from (INDENT + line for line in _argument(name, value))
    if proposal.type in (FeatureType.NUMBER, FeatureType.INTEGER):
        yield f"{INDENT}# valid={_limits(column)},  # what can be at all: others are refused"
    yield "),"


def _doubt_of_leak(draft: Draft, column: Column) -> str:
    if column.name in draft.telling:
        return "tells the target nearly by itself"
    return "is a part of the target" if len(draft.parts) > 1 and column.name in draft.parts else ""


def _arguments(draft: Draft, proposal: Proposal, kind: FeatureType) -> dict[str, str]:
    title, unit = feature_title(draft, proposal.column, kind)
    made = Feature(name=draft.field_name(proposal.column), type=kind)
    arguments = {"name": _text(made.name), "type": f"FeatureType.{kind.name}"}
    if title and title != made.label:
        arguments["title"] = _text(title)
    if unit:
        arguments["unit"] = _text(unit)
    if proposal.column.missing:
        arguments["nullable"] = "True"
    if aliases := draft.aliases(proposal.column):
        arguments["aliases"] = _tuple(aliases)
    if proposal.categories:
        arguments["categories"] = _tuple(proposal.categories)
    return arguments


def _target(draft: Draft) -> Iterator[str]:
    goal = draft.goal
    title, unit = title_and_unit(goal.column.name)
    arguments = _named(draft, goal.column)
    if goal.classes:
        arguments["classes"] = _tuple(goal.classes)
    if title:
        arguments["title"] = _text(title)
    if unit and not goal.classes:
        arguments["unit"] = _text(unit)
    if goal.classes == (0, 1):
        arguments["class_titles"] = _tuple(("No", "Yes"))
    yield from _long_call("target=Target", arguments)


def _split(draft: Draft) -> Iterator[str]:
    split, reasons = draft.split, reasons_of_split(draft)
    if split == Split():
        return
    for reason in reasons:
        yield from _comment(reason)
    arguments = {}
    if split.time:
        arguments = {"validation": _text(str(split.validation)), "test": _text(str(split.test))}
    elif draft.is_small:
        yield _few(f"{draft.table.records} records")
        arguments = {name: str(getattr(split, name)) for name in PARTS}
    named = {name: _text(column) for name, column in (("by", split.by), ("time", split.time)) if column}
    content = {"by_content": "True"} if split.by_content else {}
    aliases = ", ".join(f"{_text(name)}: {_tuple(texts)}" for name, texts in split.aliases.items())
    yield from _long_call(
        "split=Split", named | content | arguments | ({"aliases": f"{{{aliases}}}"} if aliases else {})
    )


def _few(records: str) -> str:
    return f"# {records} are few: more of them are kept for the test."


def _candidate(candidate: Candidate) -> Iterator[str]:
    yield "Candidate("
    yield f"{INDENT}name={_text(candidate.name)},"
    yield f"{INDENT}estimator={_text(candidate.estimator)},"
    yield f"{INDENT}parameters={_mapping(candidate.parameters)},"
    if candidate.scale:
        yield f"{INDENT}scale=True,"
    yield "),"


def _named(draft: Draft, column: Column) -> dict[str, str]:
    arguments = {"name": _text(draft.field_name(column))}
    if aliases := draft.aliases(column):
        arguments["aliases"] = _tuple(aliases)
    return arguments


def _seen(column: Column, kind: FeatureType) -> str:
    missing = f", missing in {column.missing} of {column.records}" if column.missing else ""
    if kind in (FeatureType.NUMBER, FeatureType.INTEGER):
        return f"Seen: {column.minimum:.10g} to {column.maximum:.10g}, on average {_rounded(column.mean)}{missing}."
    if kind is FeatureType.BOOLEAN:
        return f"Seen: yes and no{missing}."
    commonest = ", ".join(f"{text!r} {count / column.records:.0%}" for text, count in column.texts.most_common(3))
    return f"Seen: {column.different} values, most often {commonest}{missing}."


def _rounded(value: float) -> str:
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def _limits(column: Column) -> str:
    low = 0.0 if column.minimum >= 0 else -_above(-2 * column.minimum)
    high = 1.0 if column.minimum >= 0 and column.maximum <= 1 else _above(2 * column.maximum)
    return f"Limits(minimum={low:.10g}, maximum={high:.10g})"


def _above(value: float) -> float:
    """The next number that has one digit and zeros."""
    if value <= 0:
        return 0.0
    size = 10.0 ** math.floor(math.log10(value))
    return math.ceil(value / size) * size


def _long_call(function: str, arguments: Mapping[str, str]) -> Iterator[str]:
    line = f"{_call(function, arguments)},"
    if len(line) + len(INDENT) <= LINE_LENGTH:
        yield line
        return
    yield f"{function}("
    for name, value in arguments.items():
        yield from (INDENT + line for line in _argument(name, value))
    yield "),"


def _argument(name: str, value: str) -> Iterator[str]:
    """An argument on a line of its own; a long list of texts in as many lines as it has texts."""
    if len(name) + len(value) <= LINE_LENGTH - LONGEST_INDENT or not value.startswith("("):
        yield f"{name}={value},"
        return
    yield f"{name}=("
    yield from (f"{INDENT}{_literal(each)}," for each in ast.literal_eval(value))
    yield "),"


def _call(function: str, arguments: Mapping[str, str]) -> str:
    return f"{function}({', '.join(f'{name}={value}' for name, value in arguments.items())})"


def _tuple(values: tuple[Label, ...]) -> str:
    return f"({', '.join(map(_literal, values))}{',' if len(values) == 1 else ''})"


def _mapping(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{_text(name)}: {value!r}" for name, value in values.items()) + "}"


def _literal(value: Label) -> str:
    return str(value) if isinstance(value, int) else _text(value)


def _text(text: str) -> str:
    # JSON's strings are Python's, but for what stands for half a character, which no file that was read holds.
    quoted = json.dumps(text, ensure_ascii=not text.isprintable())
    if text.count('"') <= text.count("'"):
        return quoted
    # As the formatter writes it: with fewer backslashes.
    within = quoted[1:-1].replace("'", r"\'").replace(r"\"", '"')
    return f"'{within}'"


def _comment(text: str) -> Iterator[str]:
    """A text as a few lines of a comment, whatever is in it."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    lines = textwrap.wrap(printable, LINE_LENGTH - LONGEST_INDENT, max_lines=LONGEST_COMMENT, placeholder=" …")
    yield from (f"# {line}" for line in lines)
