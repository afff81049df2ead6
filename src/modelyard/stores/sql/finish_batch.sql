-- What became of the batch's rows.
update batches
set rows_read = :rows_read, rows_added = :rows_added, rows_revised = :rows_revised,
    rows_unchanged = :rows_unchanged, rows_rejected = :rows_rejected, taken_as = :taken_as
where batch_id = :batch_id
