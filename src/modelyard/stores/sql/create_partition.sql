-- A snapshot in the making: not yet part of the use case's table.
create table {partition} (like {table} including defaults)
