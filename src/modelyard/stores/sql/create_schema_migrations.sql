-- Which of the numbered files have been run.
create table if not exists schema_migrations (
    name text primary key,
    run_at timestamptz not null default now()
)
