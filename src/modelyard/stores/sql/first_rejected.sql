-- The first record of a batch that was rejected.
select line, column_name, reason
from rejected_records
where batch_id = :batch_id
order by line
limit 1
