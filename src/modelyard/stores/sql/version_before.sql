-- The version that was in production when this one came into it.
select previous_version
from gate_verdicts
where use_case = :use_case and model_version = :model_version and verdict in ('promoted', 'forced')
order by verdict_id desc
limit 1
