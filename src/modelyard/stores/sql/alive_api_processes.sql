-- The API processes that have said something lately.
select host, pid, model_version, offered_version, proof, detail, seen_at
from api_processes
where use_case = :use_case and seen_at > now() - make_interval(secs => :fresh_seconds)
order by host, pid
