"""Which part the records of a use case are in: their groups, their times, and what follows."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelyard.errors import ContractChanged
from modelyard.sources.picture_folder import part_of
from modelyard.sources.records import content_keys
from modelyard.sources.values import times
from modelyard.split import Borders, Times, borders_of, parts_in_time, parts_of
from modelyard.stores.records import tables
from modelyard.stores.records.clean import CleanStore
from modelyard.use_case import UseCase

LOGGER = logging.getLogger(__name__)

# A time without a zone may be that of any.
ALL_ZONES = timedelta(hours=14)


class Sides(NamedTuple):
    """What the parts of a use case's records follow from, apart from each record itself.

    Attributes:
        borders: Where the parts begin, in a split by time.
        firsts: The time of the oldest record of each group, in a split by time and group.
        given: The part that a source gives to a group, where it gives one.
    """

    borders: Borders | None = None
    firsts: Mapping[str, np.datetime64] = MappingProxyType({})
    given: Mapping[str, str] = MappingProxyType({})


def sides_of(use_case: UseCase, pages: Iterator[pa.Table]) -> Sides:
    """Looks at all records once.

    Args:
        use_case: What the records are of.
        pages: The records.

    Raises:
        ContractChanged: Records have no group or no time, or the source puts a group into two parts.
    """
    newest: np.datetime64 | None = None
    firsts: dict[str, np.datetime64] = {}
    given: dict[str, str] = {}
    for records in pages:
        groups, moments = groups_of(use_case, records), times_of(use_case, records)
        if moments is not None and len(moments):
            newest = max(moments.max(), newest or moments.max())
        for group, moment in zip(groups, moments, strict=True) if groups and moments is not None else ():
            firsts[group] = min(moment, firsts.get(group, moment))
        for group, part in zip(groups, given_parts(use_case, records) or (), strict=False) if groups else ():
            if part and given.setdefault(group, part) != part:
                raise ContractChanged(
                    f"{use_case.name}: the folders put {group!r} both into {given[group]} and into {part}: all of its "
                    "pictures must be in the same part"
                )
    return Sides(None if newest is None else _borders(use_case, newest.astype("datetime64[us]").item()), firsts, given)


def _borders(use_case: UseCase, newest: datetime) -> Borders:
    if use_case.split.is_rolling and newest > datetime.now(UTC).replace(tzinfo=None) + ALL_ZONES:
        LOGGER.warning(
            "the newest record of %s is of %s, which is in the future: the test part is counted back from there. If "
            "that is wrong, correct it and load it again",
            use_case.name,
            newest.isoformat(" "),
        )
    return borders_of(use_case.split, newest)


def parts_of_records(use_case: UseCase, records: pa.Table, sides: Sides) -> NDArray[np.str_]:
    """The part of each of some records, of shape (records,); NO_PART: none.

    Args:
        use_case: What they are of.
        records: The records.
        sides: What `sides_of` said of all.
    """
    groups, moments = groups_of(use_case, records), times_of(use_case, records)
    if moments is not None and sides.borders:
        firsts = np.array([sides.firsts[group] for group in groups]) if groups else None
        return parts_in_time(moments, sides.borders, firsts)
    given = given_parts(use_case, records)
    if groups:
        given = [sides.given.get(group) for group in groups]
    return parts_of(groups or records["record_key"].to_pylist(), use_case.split, given)


def columns_of_split(use_case: UseCase) -> pa.Schema:
    """The columns of a use case's tables that its split goes by, apart from the key."""
    names = use_case.contract().names if use_case.split.by_content else []
    columns = tables.arrow_columns(use_case.contract())
    return pa.schema([columns.field(name) for name in dict.fromkeys([*names, *use_case.split.columns])])


def groups_of(use_case: UseCase, records: pa.Table) -> list[str] | None:
    """What each record has in common with the others of its group; None: there are no groups.

    Raises:
        ContractChanged: Some have no group.
    """
    split = use_case.split
    if split.by_content:
        features = {name: records[name].combine_chunks() for name in use_case.contract().names}
        return list(content_keys(features).to_pylist()) if len(records) else []
    if split.by is None:
        return None
    _check_given(use_case, split.by, records)
    return list(pc.cast(records[split.by], pa.string()).to_pylist())


def times_of(use_case: UseCase, records: pa.Table) -> Times | None:
    """The time of each record, in UTC; None: the split is not by time.

    Raises:
        ContractChanged: Some have none.
    """
    name = use_case.split.time
    if name is None:
        return None
    column = records[name].combine_chunks()
    read = times(column).values if pa.types.is_string(column.type) else column
    _check_given(use_case, name, pa.table({name: read}))
    return np.asarray(read.to_numpy(zero_copy_only=False), dtype="datetime64[us]")


def ordered_sides(
    use_case: UseCase, clean: CleanStore, snapshot_id: str, keys: Sequence[str]
) -> tuple[list[str] | None, Times | None]:
    """Groups and times of some records of a snapshot, as `groups_of` and `times_of` tell them.

    Args:
        use_case: What the records are of.
        clean: Where the snapshot is.
        snapshot_id: Its id.
        keys: The records' keys, in the order that is wanted.
    """
    records = clean.sides(use_case.data_name, snapshot_id, columns_of_split(use_case))
    places = pc.index_in(pa.array(keys, pa.string()), records["record_key"].combine_chunks())
    chosen = records.take(places)
    return groups_of(use_case, chosen), times_of(use_case, chosen)


def given_parts(use_case: UseCase, records: pa.Table) -> list[str | None] | None:
    """The part that the source gives to each record; None: it gives none."""
    if not use_case.has_pictures:
        return None
    return [part_of(path) for path in records[use_case.features[0].name].to_pylist()]


def _check_given(use_case: UseCase, name: str, records: pa.Table) -> None:
    missing = records[name].null_count
    if not missing:
        return
    what = "load their files again" if use_case.key or use_case.has_pictures else "rename the use case, and load again"
    raise ContractChanged(
        f"{missing} records of {use_case.name} have no {name}, which the split goes by now: they were loaded before. "
        f"Add the column to their files, and {what}"
    )
