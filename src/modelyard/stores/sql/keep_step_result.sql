-- Keeps what a step came to; running it again writes over it.
insert into step_results (pipeline_run, use_case, step, part, result, seconds)
values (:pipeline_run, :use_case, :step, :part, cast(:result as jsonb), :seconds)
on conflict (pipeline_run, use_case, step, part)
do update set result = excluded.result, seconds = excluded.seconds, finished_at = now()
