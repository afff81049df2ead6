-- Says that a process of the API runs, and what it serves of each use case ($n: the driver of the API).
with process as (
    insert into api_processes (process_id, host, pid, started_at, seen_at)
    values ($1, $2, $3, $4, now())
    on conflict (process_id) do update set seen_at = excluded.seen_at
)
insert into served_models (process_id, use_case, model_version, target_version, self_test, detail)
select $1, states.*
from unnest($5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[]) as states
on conflict (process_id, use_case) do update set
    model_version = excluded.model_version,
    target_version = excluded.target_version,
    self_test = excluded.self_test,
    detail = excluded.detail
