"""A use case that is proposed: everything that its file will say, and what was assumed and is doubted."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from modelyard.authoring.candidates import candidates
from modelyard.authoring.columns import Column, Table, read_table, reason_of
from modelyard.authoring.features import Proposal, doubt_of_spellings, propose
from modelyard.authoring.few_records import FEW_RECORDS, FEW_SPLIT
from modelyard.authoring.leaks import is_the_target, leaks, leaks_together
from modelyard.authoring.names import identifiers, title_and_unit, title_of
from modelyard.authoring.splits import Together, together
from modelyard.authoring.target import FEWEST_OF_A_CLASS, Goal, are_few_fractions, goal_of
from modelyard.contract import FeatureType, TaskKind
from modelyard.errors import BadInput
from modelyard.sources.csv_file import spelled
from modelyard.use_case import Candidate, Gate, Split

# With fewer, a model cannot be judged.
FEWEST_RECORDS = 100
# A part is a little larger or smaller than its share.
SURELY = 0.75
SEPARATOR_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Question:
    """What the user asked for.

    Attributes:
        name: Name of the use case.
        source: Path or URL of the table.
        target: The column that is predicted.
        key: The column that identifies a record, if one does.
        kind: The kind of task; None: what the target looks like.
        allowed_bad_share: With a larger share of bad records, a load refuses the file.
    """

    name: str
    source: str
    target: str
    key: str | None
    kind: TaskKind | None
    allowed_bad_share: float


@dataclass(frozen=True)
class Draft:
    """A use case that is proposed.

    Attributes:
        name: Its name.
        table: The table that it was made from.
        goal: What is predicted.
        key: The column that identifies a record.
        proposals: What became of the other columns.
        telling: The columns that tell the target by themselves, with how well.
        parts: The columns that tell it together, as its parts.
        together: By what its records are to be split.
    """

    name: str
    table: Table
    goal: Goal
    key: Column | None
    proposals: tuple[Proposal, ...]
    telling: dict[str, float]
    parts: list[str]
    together: Together

    @cached_property
    def names(self) -> list[str]:
        """The names of all columns everywhere in Modelyard, in order."""
        return identifiers([column.name for column in self.table.columns])

    @property
    def title(self) -> str:
        """The use case's name for people."""
        return title_of(self.name)

    @property
    def features(self) -> list[Proposal]:
        """The columns that become features."""
        return [proposal for proposal in self.proposals if proposal.type is not None]

    @cached_property
    def equal_records(self) -> int:
        """Of the records that relations between columns are looked for in, those that are equal to one before them."""
        used = [str(each.column.position) for each in self.features] + [str(self.goal.column.position)]
        sample = self.table.sample.select(used)
        return int(sample.num_rows - sample.group_by(used).aggregate([]).num_rows)

    @property
    def is_small(self) -> bool:
        """Whether there are too few records for the usual split."""
        return self.table.records < FEW_RECORDS

    @property
    def split(self) -> Split:
        """How the snapshots are parted."""
        found = self.together
        columns = {"by": found.group, "time": found.time}
        named = {kind: self.field_name(column) for kind, column in columns.items() if column}
        aliases = {self.field_name(column): self.aliases(column) for column in columns.values() if column}
        usual = FEW_SPLIT if self.is_small and not found.time else Split()
        lasting = dict(zip(("validation", "test"), found.lasting, strict=True)) if found.time else {}
        given = named | lasting | {"aliases": {name: texts for name, texts in aliases.items() if texts}}
        return Split.model_validate(usual.model_dump(exclude_unset=True) | given | {"by_content": found.copies})

    @property
    def shares(self) -> tuple[float, float, float]:
        """About the shares of the records that the parts come to have."""
        return Split().shares if self.together.time else self.split.shares

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The models to try."""
        return candidates(self.goal.kind, self.table.records, len(self.goal.classes))

    def field_name(self, column: Column) -> str:
        """The name of a column everywhere in Modelyard."""
        return self.names[column.position]

    def aliases(self, column: Column) -> tuple[str, ...]:
        """The name in the file, where that is needed to find the column."""
        spellings = Counter(spelled(each.name) for each in self.table.columns)
        found_by_name = spelled(self.field_name(column)) == spelled(column.name)
        return () if found_by_name and spellings[spelled(column.name)] == 1 else (column.name,)


def draft_of(question: Question) -> Draft:
    """Reads a table and proposes a use case for it.

    Raises:
        BadInput: It cannot be one; the message says why and what to do.
        ServiceUnavailable: The server that has the table does not answer.
    """
    table = read_table(question.source, question.key)
    for name in filter(None, (question.target, question.key)):
        table.column(name)
    _check_records(table, question)
    goal = goal_of(table, question.target, question.kind, question.allowed_bad_share)
    key = _key(table, question)
    proposals = [_unless_the_target(proposal, goal, table) for proposal in propose(table, goal, key)]
    if not any(proposal.type for proposal in proposals):
        reasons = "; ".join(f"{proposal.column.name!r} {proposal.why_not}" for proposal in proposals)
        raise BadInput(f"{question.source} has no column to predict from: {reasons or 'there is no other column'}")
    found = together(table, goal, key, proposals, question.allowed_bad_share)
    proposals = [_unless_the_group(proposal, found) for proposal in proposals]
    if not any(proposal.type for proposal in proposals):
        raise BadInput(
            f"{question.source} has no column to predict from but the one that says to whom a record belongs"
        )
    telling, parts = leaks(table, goal, proposals), leaks_together(table, goal, proposals)
    return Draft(question.name, table, goal, key, tuple(proposals), telling, parts, found)


def _check_records(table: Table, question: Question) -> None:
    total = table.records + table.rejected
    if table.first_rejected and table.rejected > question.allowed_bad_share * total:
        first = f"first line {table.first_rejected.line}, which {reason_of(table.first_rejected)}"
        raise BadInput(f"{question.source}: {table.rejected} of {total} lines cannot be read, {first}")
    if table.records < FEWEST_RECORDS:
        raise BadInput(
            f"{question.source} has {table.records} records, and a model needs {FEWEST_RECORDS} to learn and be judged"
        )


def _later_files_in_words(draft: Draft) -> str:
    if draft.equal_records:
        return (
            f"{draft.equal_records} of {draft.table.sample.num_rows} records repeat another one: a later file is taken "
            'for the whole table again if it holds all that are there, otherwise for other records (records="whole" or '
            '"other" settles it for every file).'
        )
    return 'No two are equal, so an equal one in a later file is taken for the same record (records="whole").'


def assumptions(draft: Draft) -> list[str]:
    """What was assumed, a sentence each."""
    said = [_kind_in_words(draft)]
    said += _notation_in_words(draft.table)
    if draft.goal.left_out:
        classes = ", ".join(map(repr, draft.goal.left_out))
        said.append(
            f"The classes {classes} have fewer than {FEWEST_OF_A_CLASS} records each: they are left out, and "
            "their records are set aside when they are loaded."
        )
    if draft.key is None:
        said.append(f"No column identifies a record (--key names one). {_later_files_in_words(draft)}")
    optional = [draft.field_name(each.column) for each in draft.features if each.column.missing]
    if optional:
        said.append(f"May be missing, as they are in some records: {', '.join(optional)}.")
    closed = [draft.field_name(each.column) for each in draft.features if each.categories]
    if closed:
        said.append(f"Can have only the values seen (delete `categories` to allow any): {', '.join(closed)}.")
    said += reasons_of_split(draft)
    if draft.is_small and not draft.together.time:
        said.append(
            f"{draft.table.records} records are few: two fifths of them are kept for the test. The gate is as strict "
            "as with many."
        )
    return said


def reasons_of_split(draft: Draft) -> list[str]:
    """Why the records are split as they are, a sentence each; nothing where each stands alone."""
    found, said = draft.together, []
    if found.group:
        said.append(
            f"{found.group.name!r} repeats with the same values in other columns: all records of one are in the same "
            "part (`Split(by=…)`), so that a model is judged on others than it learned from."
        )
    if found.copies:
        said.append(
            "More records have equal features than such columns give by chance: equal ones are in the same part "
            "(`Split(by_content=True)`), so that a model is not judged on copies of what it learned from."
        )
    if found.time:
        validation, test = found.lasting
        said.append(
            f"{found.time.name!r} has the time of each record: the newest {test[:-1]} days are for the test, the "
            f"{validation[:-1]} before them for validation (`Split(time=…)`), as a model is used on later records."
        )
    return said


def doubts(draft: Draft, allowed_bad_share: float) -> list[str]:
    """What is doubtful, a sentence each."""
    said = [f"{each.column.name!r} is left out: it {each.why_not}." for each in draft.proposals if each.type is None]
    said += [f"{each.column.name!r} {each.doubt}." for each in draft.features if each.doubt]
    measure = "area under the ROC curve" if draft.goal.classes else "R²"
    said += [
        f"{name!r} tells {draft.goal.column.name!r} nearly by itself ({measure} {score:.3f}): is it known before? "
        "If not, take it out before records are loaded."
        for name, score in draft.telling.items()
    ]
    if len(draft.parts) > 1:
        parts = ", ".join(map(repr, draft.parts))
        said.append(
            f"{parts} together give {draft.goal.column.name!r}: are they known before? If not, take them out before "
            "records are loaded."
        )
    said += draft.together.doubts
    # Of columns with the same name, each has the same to say.
    said = list(dict.fromkeys(said))
    return said + _doubts_of_target(draft) + _doubts_of_records(draft, allowed_bad_share)


def _key(table: Table, question: Question) -> Column | None:
    if question.key is None:
        return None
    if question.key == question.target:
        raise BadInput(f"{question.key!r} cannot be both the key and the target")
    key = table.column(question.key)
    bad = key.empty + key.given - key.different
    if bad > question.allowed_bad_share * table.records:
        raise BadInput(
            f"{question.key!r} does not identify a record: {bad} of {table.records} have none, or that of another one; "
            "name another column, or none"
        )
    return key


def _unless_the_group(proposal: Proposal, found: Together) -> Proposal:
    if proposal.column is found.group:
        return Proposal(proposal.column, None, "says to whom the record belongs, and the split goes by it")
    if proposal.column is found.time and proposal.type:
        return Proposal(proposal.column, None, "has the time of the record, and the split goes by it")
    return proposal


def _unless_the_target(proposal: Proposal, goal: Goal, table: Table) -> Proposal:
    if proposal.type is None or not is_the_target(proposal.column, goal, table):
        return proposal
    return Proposal(proposal.column, None, f"says the same as {goal.column.name!r}, in other words")


def _kind_in_words(draft: Draft) -> str:
    goal, column = draft.goal, draft.goal.column
    if not goal.classes:
        return f"{column.name!r} is a number to be predicted (regression): {goal.why}."
    shares = ", ".join(f"{label} {goal.count(label) / draft.table.records:.1%}" for label in goal.classes[:10])
    more = f" and {len(goal.classes) - 10} more" if len(goal.classes) > 10 else ""
    if goal.kind is TaskKind.BINARY:
        return f"{column.name!r} is one of two classes: {goal.why} ({shares}). {goal.classes[1]!r} is the positive one."
    return f"{column.name!r} is one of {len(goal.classes)} classes: {goal.why} ({shares}{more})."


def _notation_in_words(table: Table) -> list[str]:
    said = []
    if table.separator != ",":
        said.append(f"The columns are separated by {SEPARATOR_NAMES[table.separator]}.")
    if table.decimal != ".":
        said.append("Numbers have a comma before their decimals (`decimal`), and points, if any, part their thousands.")
    return said


def _doubts_of_target(draft: Draft) -> list[str]:
    goal, said = draft.goal, []
    _, for_validation, for_test = draft.shares
    needed = FEWEST_OF_A_CLASS / for_validation / 10
    tested = Gate().minimum_per_class / (for_test * SURELY)
    for label in goal.classes:
        count = goal.count(label)
        if count < needed:
            said.append(
                f"{goal.column.name!r} is {label!r} in only {count} records: a part may come to have none of them, and "
                "then nothing can be said of the model."
            )
        elif count < tested:
            said.append(
                f"{goal.column.name!r} is {label!r} in only {count} records: the test part may come to have fewer than "
                f"the {Gate().minimum_per_class} of each class without which the gate lets no model pass."
            )
    common = max((goal.count(label) for label in goal.classes), default=0) / draft.table.records
    if common > 0.98:
        said.append(f"{goal.column.name!r} is the same in {common:.1%} of the records: there is little to learn from.")
    if goal.kind is TaskKind.MULTICLASS and goal.are_numbers:
        said.append(f"{goal.column.name!r} may be an amount and no class: then add --kind regression.")
    if not goal.classes and are_few_fractions(goal.column):
        said.append(f"{goal.column.name!r} may be a class and no amount: then add --kind multiclass.")
    if doubt := _doubt_of_classes(goal):
        said.append(f"{goal.column.name!r} {doubt}.")
    return said


def _doubt_of_classes(goal: Goal) -> str:
    """What to doubt of classes that may mean the same, as the rest of a sentence."""
    if len(goal.classes) > 2 and goal.column.is_truth:
        return f"says yes and no in {len(goal.classes)} ways, which count as so many classes: write each in one way"
    return doubt_of_spellings(goal.column) if goal.classes and not goal.are_numbers else ""


def _doubts_of_records(draft: Draft, allowed_bad_share: float) -> list[str]:
    table, goal = draft.table, draft.goal
    aside = table.rejected + goal.column.missing + sum(goal.column.texts[label] for label in goal.left_out)
    aside += sum(proposal.column.strays for proposal in draft.features if proposal.column.is_number)
    aside += sum(column.missing for column in (draft.together.group, draft.together.time) if column)
    if draft.key:
        aside += draft.key.records - draft.key.different
    if not aside:
        return []
    said = f"About {aside} of {table.records + table.rejected} records cannot be used: loading sets them aside"
    if aside > allowed_bad_share * table.records:
        said += f": more than ALLOWED_BAD_SHARE ({allowed_bad_share:.0%}), with which nothing is loaded"
    return [f"{said}."]


def feature_title(draft: Draft, column: Column, kind: FeatureType) -> tuple[str, str]:
    """A feature's name for people, which no other column has, and its unit when it is a number."""
    title, unit = title_and_unit(column.name)
    others = [title_and_unit(each.name)[0] for each in draft.table.columns if each is not column]
    if title in others:
        return column.name.strip(), ""
    return (title, unit) if kind in (FeatureType.NUMBER, FeatureType.INTEGER) else (title, "")
