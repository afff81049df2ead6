-- Every model that the gate has judged on a test part, once: all of them share one chance of a wrong pass.
-- doubling counts how often the test part has doubled since the first look, look counts the looks since it doubled last.
create table gate_looks (
    data_name text not null,
    model_version bigint not null,
    snapshot_id text not null,
    test_records bigint not null,
    doubling integer not null,
    look integer not null,
    looked_at timestamptz not null default now(),
    primary key (data_name, model_version, snapshot_id),
    unique (data_name, doubling, look)
);

grant select, insert on gate_looks to pipeline;
grant select on gate_looks to explorer;
