-- The roles that the server has.
select rolname from pg_roles
