-- Rows from the client, as CSV: an empty cell without quotes is null.
copy {table} ({columns}) from stdin with (format csv)
