-- A nullable feature that the contract has gained.
alter table {table} add column {column}
