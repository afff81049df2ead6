-- Keeps that a numbered file has been run.
insert into schema_migrations (name) values (:name)
