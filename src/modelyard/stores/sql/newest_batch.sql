-- The batch of a use case that came last.
select max(batch_id) from batches where use_case = :use_case
