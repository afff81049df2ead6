-- Trainings of the same snapshot, parameters and code.
select pipeline_run, use_case, step, part, result, seconds, finished_at
from step_results
where use_case = :use_case and step = 'train' and result ->> 'fingerprint' = :fingerprint
order by finished_at desc
