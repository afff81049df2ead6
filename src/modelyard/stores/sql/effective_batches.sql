-- The batches that brought something, in the order in which they came.
select sha256, declaration_sha256
from batches
where use_case = :use_case and rows_added + rows_revised > 0
order by batch_id
