-- The batch with this content, as the same declaration read it: loaded again, all of its good records are known.
select
    batch_id, rows_read, 0 as rows_added, 0 as rows_revised,
    rows_read - rows_rejected as rows_unchanged, rows_rejected, taken_as
from batches
where use_case = :use_case and sha256 = :sha256 and declaration_sha256 = :declaration_sha256
