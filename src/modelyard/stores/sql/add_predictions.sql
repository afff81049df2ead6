-- add_predictions
-- Keeps answers of which some may have been sent before, each parameter a column of them ($n: the driver of the API).
insert into predictions (
    request_id, use_case, model_version, role, record_key, features, prediction, probabilities, latency_ms, created_at,
    lower, upper
)
select * from unnest(
    $1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::jsonb[], $9::real[],
    $10::timestamptz[], $11::double precision[], $12::double precision[]
)
-- A row that was sent before, to a database that did not tell whether it took it.
on conflict do nothing
