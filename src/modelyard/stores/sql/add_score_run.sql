-- add_score_run
-- Begins the scoring into a table.
insert into score_runs (target, source, use_case, model_version, run_id, started_ms)
values (:target, :source, :use_case, :model_version, :run_id, :started_ms)
on conflict (target) do update set
    source = excluded.source, use_case = excluded.use_case, model_version = excluded.model_version,
    run_id = excluded.run_id, started_ms = excluded.started_ms, pages = 0, rows = 0, sha256 = '', finished = false
