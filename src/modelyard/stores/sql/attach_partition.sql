-- A snapshot is complete. (A utility statement takes no parameters on the server; the driver writes the literal in.)
alter table {table} attach partition {partition} for values in (:snapshot_id)
