-- Where the records came from; the records are in a table of their own.
with rejected as (delete from rejected_records where use_case = :data_name)
delete from batches where use_case = :data_name
