-- All results of one pipeline run, the earliest first.
select pipeline_run, use_case, step, part, result, seconds, finished_at
from step_results
where pipeline_run = :pipeline_run and use_case = :use_case
order by finished_at
