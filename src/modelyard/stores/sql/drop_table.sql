-- A table that has served.
drop table {table}
