-- The batches that brought something, in the order in which they came. What a file brings depends on whether it was
-- taken for other records.
select sha256, declaration_sha256 || case when taken_as = 'other' then '-other' else '' end
from batches
where use_case = :use_case and rows_added + rows_revised > 0
order by batch_id
