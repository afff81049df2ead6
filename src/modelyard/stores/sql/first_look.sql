-- How many records the test part had when the first model was judged on it.
select test_records
from gate_looks
where data_name = :data_name
order by looked_at, doubling, look
limit 1
