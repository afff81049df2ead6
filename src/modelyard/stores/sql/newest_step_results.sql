-- What a step came to: in the run that asks, else in the newest run that did it.
with asked as (
    select pipeline_run
    from step_results
    where use_case = :use_case and step = :step
    order by (pipeline_run = :pipeline_run) desc nulls last, finished_at desc
    limit 1
)
select pipeline_run, use_case, step, part, result, seconds, finished_at
from step_results join asked using (pipeline_run)
where use_case = :use_case and step = :step
order by part
