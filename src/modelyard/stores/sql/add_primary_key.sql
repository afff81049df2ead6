-- An index that is built at once takes a third of the time of one that grows with each row.
alter table {table} add primary key ({columns})
