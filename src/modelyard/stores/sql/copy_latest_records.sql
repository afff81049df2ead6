-- A page of records in the order of their keys, the newest revision of each.
copy (
    select distinct on (record_key) record_key, {columns}
    from {table}
    where record_key > %(after)s
    order by record_key, revision desc
    limit %(limit)s
) to stdout with (format csv)
