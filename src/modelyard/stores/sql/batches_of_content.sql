-- The earlier batches with this content, however they were read.
select batch_id, taken_as
from batches
where use_case = :use_case and sha256 = :sha256 and batch_id < :batch_id
order by batch_id
