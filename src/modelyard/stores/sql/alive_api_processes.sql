-- The API processes that have said something lately, and what each serves of a use case, if it serves it yet.
select host, pid, model_version, target_version, self_test, coalesce(detail, '') as detail, seen_at
from api_processes
left join served_models on served_models.process_id = api_processes.process_id and use_case = :use_case
where seen_at > now() - make_interval(secs => :fresh_seconds)
order by host, pid
