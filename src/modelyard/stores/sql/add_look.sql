-- The next look since the test part doubled last.
insert into gate_looks (data_name, model_version, snapshot_id, test_records, doubling, look)
select :data_name, :model_version, :snapshot_id, :test_records, :doubling, count(*) + 1
from gate_looks
where data_name = :data_name and doubling = :doubling
returning doubling, look
