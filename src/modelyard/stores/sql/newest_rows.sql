-- newest_rows
-- The newest revision of each record, as CSV.
copy (select distinct on (record_key) * from {table} order by {first}, revision desc) to stdout with (format csv, header)
