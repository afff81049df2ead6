-- What models are trained on. A use case's own table is made from its contract by its first snapshot.

create table snapshots (
    use_case text not null,
    snapshot_id text not null,
    contract jsonb not null,
    rows_train bigint not null,
    rows_validation bigint not null,
    rows_test bigint not null,
    created_at timestamptz not null default now(),
    chosen_at timestamptz not null default clock_timestamp(),
    primary key (use_case, snapshot_id)
);

grant select, insert, update, delete on all tables in schema public to pipeline;
grant create on schema public to pipeline;

grant select on all tables in schema public to explorer;
alter default privileges for role pipeline in schema public grant select on tables to explorer;
