-- The next look since the test part doubled last; of a test part that rolls on, the next one at records that it shares.
-- Of a look at a test part that did not roll it is not known what was in it: it may have been any records.
insert into gate_looks (data_name, model_version, snapshot_id, test_records, doubling, look, test_from, test_until)
select
    :data_name, :model_version, :snapshot_id, :test_records, :doubling, count(*) + 1,
    cast(:test_from as timestamp), cast(:test_until as timestamp)
from gate_looks
where
    data_name = :data_name
    and (doubling = :doubling or cast(:test_from as timestamp) is not null)
    and coalesce(test_until >= cast(:test_from as timestamp) and test_from <= cast(:test_until as timestamp), true)
returning doubling, look
