"""Makes a snapshot of the newest records: the same records, contract and split give the same snapshot."""

import hashlib
import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelyard.contract import Frozen
from modelyard.errors import NothingToWorkOn
from modelyard.stores.objects import ObjectStore, required
from modelyard.stores.records.clean import CleanStore, Snapshot
from modelyard.stores.records.raw import RawStore
from modelyard.use_case import UseCase

if TYPE_CHECKING:
    import pyarrow as pa

    from modelyard.steps.sides import Sides
    from modelyard.stores.records.raw import Latest

LOGGER = logging.getLogger(__name__)

# What of a contract decides what a snapshot holds.
OF_FEATURE = {"name", "type", "nullable", "valid", "categories", "shape"}
OF_TARGET = {"name", "classes"}
# Of the hash that a snapshot is called by; 64 bits.
ID_CHARACTERS = 16


class PreprocessResult(Frozen):
    """What a preprocess came to.

    Attributes:
        snapshot_id: The snapshot of the newest records.
        new: Whether it was made just now; else it was there already.
        rows: Records in each part: train, validation, test.
    """

    snapshot_id: str
    new: bool
    rows: dict[str, int]


def preprocess(
    use_case: UseCase, raw: RawStore, clean: CleanStore, objects: ObjectStore | None = None
) -> PreprocessResult:
    """Makes a snapshot, or finds the one that is there.

    Nothing is fitted here: missing values stay missing. `split.py` says how records are parted.

    Args:
        use_case: Whose records.
        raw: Where they are.
        clean: Where the snapshot goes.
        objects: Where pictures are, and where their pixels go.

    Raises:
        NothingToWorkOn: No records were loaded yet.
        ContractChanged: The contract no longer fits the tables or the records.
        ServiceUnavailable: A database does not answer.
    """
    snapshot_id = _snapshot_id(use_case, raw.batches(use_case.data_name))
    known = clean.choose(use_case.data_name, snapshot_id)
    if known:
        LOGGER.info("snapshot %s is there already", snapshot_id)
        return _result(known, new=False)
    with raw.latest(use_case) as latest:
        snapshot_id = _snapshot_id(use_case, latest.batches)
        sides = _sides(use_case, latest)
        records = _parted(use_case, latest.pages(), sides)
        if use_case.has_pictures:
            from modelyard.steps.shards import with_arrays

            records = with_arrays(use_case, snapshot_id, records, required(objects))
        return _result(clean.add(use_case, snapshot_id, records, sides.borders), new=True)


def _snapshot_id(use_case: UseCase, batches: list[list[str]]) -> str:
    if not batches:
        raise NothingToWorkOn(f"no records of {use_case.name} were loaded yet: run `modelyard load` first")
    features = [feature.model_dump(mode="json", include=OF_FEATURE) for feature in use_case.features]
    target = use_case.target.model_dump(mode="json", include=OF_TARGET)
    follows_from = [use_case.data_name, batches, features, target, use_case.split.identity()]
    return hashlib.sha256(json.dumps(follows_from, sort_keys=True).encode()).hexdigest()[:ID_CHARACTERS]


def _sides(use_case: UseCase, latest: "Latest") -> "Sides":
    from modelyard.steps.sides import Sides, sides_of

    split = use_case.split
    looks = split.time or (split.is_grouped and use_case.has_pictures)
    return sides_of(use_case, latest.pages()) if looks else Sides()


def _parted(use_case: UseCase, pages: "Iterator[pa.Table]", sides: "Sides") -> "Iterator[pa.Table]":
    import pyarrow as pa

    from modelyard.frames import frame_of, schema_of, validated
    from modelyard.split import NO_PART
    from modelyard.steps.sides import parts_of_records

    contract = use_case.contract()
    schema = schema_of(contract)
    left_out = 0
    for records in pages:
        validated(frame_of(records, contract), schema, f"raw_data, table {use_case.data_name}")
        parts = parts_of_records(use_case, records, sides)
        left_out += int((parts == NO_PART).sum())
        yield records.add_column(1, "part", pa.array(parts)).filter(pa.array(parts != NO_PART))
    if left_out:
        LOGGER.info("%d records are in no part: they are newer than the part that their group is in", left_out)


def _result(snapshot: Snapshot, *, new: bool) -> PreprocessResult:
    return PreprocessResult(snapshot_id=snapshot.snapshot_id, new=new, rows=snapshot.rows)
