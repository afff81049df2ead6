-- How far the scoring of many records into a table has come: each page of them is one transaction with its row here.
create table score_runs (
    target text primary key,
    source text not null,
    use_case text not null,
    model_version bigint not null,
    run_id uuid not null,
    pages bigint not null default 0,
    rows bigint not null default 0,
    sha256 text not null default '',
    finished boolean not null default false,
    started_ms bigint not null
);

grant select, insert, update, delete on score_runs to pipeline;
grant select on score_runs to explorer;
