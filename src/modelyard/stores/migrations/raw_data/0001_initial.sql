-- What came in, what was answered, and what the steps say to each other.
-- A use case's own table is made from its contract when its first records are loaded.

create table batches (
    batch_id bigint generated always as identity primary key,
    use_case text not null,
    sha256 text not null,
    declaration_sha256 text not null,
    source text not null,
    rows_read bigint not null default 0,
    rows_added bigint not null default 0,
    rows_revised bigint not null default 0,
    rows_unchanged bigint not null default 0,
    rows_rejected bigint not null default 0,
    loaded_at timestamptz not null default now(),
    unique (use_case, sha256, declaration_sha256)
);

create table rejected_records (
    rejected_id bigint generated always as identity primary key,
    batch_id bigint not null references batches,
    use_case text not null,
    source text not null,
    line bigint not null,
    column_name text not null,
    reason text not null,
    record text
);
create index on rejected_records (use_case, batch_id);

create table step_results (
    pipeline_run text not null,
    use_case text not null,
    step text not null,
    part text not null default '',
    result jsonb not null,
    seconds real not null,
    finished_at timestamptz not null default now(),
    primary key (pipeline_run, use_case, step, part)
);
create index on step_results (use_case, step, finished_at);

create table gate_verdicts (
    verdict_id bigint generated always as identity primary key,
    use_case text not null,
    model_version bigint not null,
    previous_version bigint,
    verdict text not null,
    reasons jsonb not null default '[]',
    numbers jsonb not null default '{}',
    decided_at timestamptz not null default now()
);
create index on gate_verdicts (use_case, decided_at);

create table predictions (
    request_id uuid primary key,
    use_case text not null,
    model_version bigint not null,
    role text not null default 'production',
    record_key text,
    features jsonb not null,
    prediction jsonb not null,
    probabilities jsonb,
    latency_ms real not null,
    created_at timestamptz not null default now()
);
create index on predictions (use_case, created_at);

-- An API process that runs, known by its heartbeat. It has one row, whether it serves something yet or not, so that
-- a first version waits for it too.
create table api_processes (
    process_id uuid primary key,
    host text not null,
    pid integer not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);
create index on api_processes (seen_at);

-- What such a process serves of each use case. offered_version is the version in production as it knows it,
-- model_version the one that answers; proof says whether the offered one answered its example as at training.
create table served_models (
    process_id uuid not null references api_processes on delete cascade,
    use_case text not null,
    model_version bigint,
    offered_version bigint not null,
    proof text not null check (proof in ('ok', 'failed')),
    detail text not null default '',
    primary key (process_id, use_case)
);

grant select, insert, update, delete on all tables in schema public to pipeline;
grant usage on all sequences in schema public to pipeline;
grant create on schema public to pipeline;

-- The API answers: it adds predictions and tells what it serves, and reads and changes nothing else.
grant insert on predictions to api;
grant select, insert, update, delete on api_processes, served_models to api;

grant select on all tables in schema public to explorer;
alter default privileges for role pipeline in schema public grant select on tables to explorer;
