-- find_score_run
-- How far the scoring into a table has come.
select source, use_case, model_version, run_id, started_ms, pages, rows, sha256, finished
from score_runs where target = :target
