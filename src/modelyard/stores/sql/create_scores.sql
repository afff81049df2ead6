-- create_scores
-- A table for what a model says of many records.
create table {table} (
    line bigint primary key,
    record_key text,
    prediction {prediction},
    {interval}
    probability double precision,
    probabilities jsonb,
    model_version bigint not null,
    request_id uuid not null,
    problem text
)
