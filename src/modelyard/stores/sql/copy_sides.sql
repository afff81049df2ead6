-- What decides of the part of each record of a snapshot, in the order of the records' keys.
copy (
    select record_key, part {columns}
    from {table}
    where snapshot_id = %(snapshot_id)s
    order by record_key
) to stdout with (format csv)
