-- One part of a snapshot in the order of its records' keys.
copy (
    select record_key, {columns}
    from {table}
    where snapshot_id = %(snapshot_id)s and part = %(part)s
    order by record_key
) to stdout with (format csv)
