-- The numbered files that have been run.
select name from schema_migrations
