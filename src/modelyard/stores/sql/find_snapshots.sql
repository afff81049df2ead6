-- The snapshots of a use case, the newest first.
select
    snapshot_id, contract, split, validation_from, test_from, rows_train, rows_validation, rows_test, created_at
from snapshots
where use_case = :use_case
order by chosen_at desc, snapshot_id
