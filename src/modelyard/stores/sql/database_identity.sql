-- Tells a database from every other one, also from a later one of the same name.
select system_identifier || '/' || oid from pg_control_system(), pg_database where datname = current_database()
