"""What a version has seen of a snapshot's test part: a model is judged only by what it has not.

While the split stays, that is nothing. When it was edited, or records were revised, a version may have been trained on
records that are for the test now. What it was trained on is in its own snapshot, which is kept as long as the version
is needed. If that is gone all the same, the version's word for how it was parted is enough where nothing has changed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelyard.errors import NothingToWorkOn
from modelyard.split import Parted, clusters_of, numbered
from modelyard.steps.sides import columns_of_split, groups_of, times_of
from modelyard.steps.stores import Platform
from modelyard.stores.records.clean import Snapshot
from modelyard.stores.registry import PROFILE_TAG, SPLIT_TAG, Version
from modelyard.use_case import UseCase


class TestPart:
    """The test part of a snapshot, as far as it matters who has seen it. Its records are in the order of their keys."""

    # Not a class of tests.
    __test__ = False

    def __init__(self, use_case: UseCase, platform: Platform, snapshot_id: str) -> None:
        """Reads what decides of the records' parts.

        Args:
            use_case: What the records are of.
            platform: The stores.
            snapshot_id: The snapshot: how it was parted is its word, whatever the use case says by now.

        Raises:
            NothingToWorkOn: It is no longer there.
        """
        snapshot = platform.clean.find(use_case.data_name, snapshot_id)
        if snapshot is None:
            raise NothingToWorkOn(f"snapshot {snapshot_id} of {use_case.name} is gone: run `modelyard preprocess`")
        parted = use_case.model_copy(update={"split": snapshot.split or use_case.split})
        records = platform.clean.sides(use_case.data_name, snapshot_id, columns_of_split(parted))
        groups = groups_of(parted, records)
        self._use_case, self._platform, self._snapshot = parted, platform, snapshot
        self._unseen: dict[int, NDArray[np.bool_]] = {}
        self._keys = records["record_key"].combine_chunks()
        self._is_test = pc.equal(records["part"], "test").to_numpy()
        self._groups = None if groups is None else numbered(groups)
        self._times = times_of(parted, records)

    @property
    def clusters(self) -> NDArray[np.intp] | None:
        """A number for each record, the same for those that depend on each other; None: all are independent."""
        return clusters_of(_of(self._groups, self._is_test), _of(self._times, self._is_test))

    @property
    def rolling(self) -> tuple[datetime, datetime] | None:
        """When the oldest and the newest record came about, if the part moves with the newest one."""
        if self._times is None or not self._use_case.split.is_rolling:
            return None
        times = self._times[self._is_test]
        return times.min().item(), times.max().item()

    def unseen_by(self, versions: Sequence[int]) -> NDArray[np.bool_]:
        """Which records none of some versions was trained or chosen by, nor by any that they stand together with.

        By time, these are the records that are newer than all that the versions were trained on.

        Args:
            versions: Their numbers.
        """
        unseen = np.ones(int(self._is_test.sum()), dtype=bool)
        for number in versions:
            if number not in self._unseen:
                self._unseen[number] = ~self._seen_by(number)[self._is_test]
            unseen &= self._unseen[number]
        return unseen

    def _seen_by(self, number: int) -> NDArray[np.bool_]:
        version = self._platform.registry.version(self._use_case.name, number)
        snapshot_id = version.tags.get("snapshot_id", "")
        if snapshot_id == self._snapshot.snapshot_id and self._is_of_these_records(version):
            return np.asarray(~self._is_test)
        theirs = self._platform.clean.find(self._data_name(version), snapshot_id)
        return self._seen_by_its_word(version) if theirs is None else self._seen_with(theirs, self._data_name(version))

    def _seen_with(self, theirs: Snapshot, data_name: str) -> NDArray[np.bool_]:
        records = self._platform.clean.sides(data_name, theirs.snapshot_id)
        keys = records.filter(pc.not_equal(records["part"], "test"))["record_key"].combine_chunks()
        seen = np.asarray(pc.is_in(self._keys, keys).to_numpy(zero_copy_only=False), dtype=bool)
        if self._groups is not None:
            seen |= np.isin(self._groups, self._groups[seen])
        if self._times is None:
            return seen
        if theirs.borders and theirs.split and theirs.split.time == self._use_case.split.time:
            return np.asarray(seen | (self._times < np.datetime64(theirs.borders.test_from)))
        return np.asarray(self._times <= self._times[seen].max()) if seen.any() else seen

    def _seen_by_its_word(self, version: Version) -> NDArray[np.bool_]:
        """All, unless its records were parted as these are."""
        everything = np.ones(len(self._keys), dtype=bool)
        if SPLIT_TAG not in version.tags or not self._is_of_these_records(version):
            return everything
        parted = Parted.model_validate_json(version.tags[SPLIT_TAG])
        if parted.split != self._use_case.split.identity():
            return everything
        if self._times is None or parted.borders is None:
            return ~everything
        return np.asarray(self._times < np.datetime64(parted.borders.test_from))

    def _is_of_these_records(self, version: Version) -> bool:
        return self._data_name(version) == self._use_case.data_name

    def _data_name(self, version: Version) -> str:
        return self._use_case.model_copy(update={"profile": version.tags.get(PROFILE_TAG)}).data_name


def _of(values: Any, chosen: NDArray[np.bool_]) -> Any:
    return None if values is None else values[chosen]
