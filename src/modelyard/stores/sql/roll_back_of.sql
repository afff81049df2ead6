-- When and why a version was taken out of production, unless it came back since.
select decided_at, reasons
from gate_verdicts
where use_case = :use_case and verdict = 'rolled back' and previous_version = :model_version
    and verdict_id > coalesce(
        (
            select max(verdict_id) from gate_verdicts
            where use_case = :use_case and model_version = :model_version and verdict in ('promoted', 'forced')
        ),
        0
    )
order by verdict_id desc
limit 1
