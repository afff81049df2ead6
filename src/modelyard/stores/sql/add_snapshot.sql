-- A snapshot, as of now the newest.
insert into snapshots (
    use_case, snapshot_id, contract, split, validation_from, test_from, rows_train, rows_validation, rows_test
)
values (
    :use_case, :snapshot_id, :contract, :split, :validation_from, :test_from, :train, :validation, :test
)
