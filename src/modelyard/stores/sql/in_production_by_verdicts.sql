-- The version of each use case that came into production last.
select distinct on (use_case) use_case, model_version
from gate_verdicts
where verdict in ('promoted', 'forced', 'rolled back')
order by use_case, verdict_id desc
