-- The next records are another batch's.
alter table {table} alter column batch_id drop default
