-- all_rows
-- All rows of a table in the order of one column, as CSV.
copy (select * from {table} order by {first}) to stdout with (format csv, header)
