-- A batch that is to be taken for something else goes with all that it brought.
with records as (
    delete from {table} where batch_id = :batch_id
),
rejected as (
    delete from rejected_records where batch_id = :batch_id
)
delete from batches where batch_id = :batch_id
