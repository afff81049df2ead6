-- The newest verdicts of a use case.
select use_case, model_version, previous_version, verdict, reasons, decided_at
from gate_verdicts
where use_case = :use_case
order by verdict_id desc
limit :limit
