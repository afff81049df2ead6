-- The databases that the server has.
select datname from pg_database
