-- What was said of a version last.
select verdict, previous_version, reasons, numbers
from gate_verdicts
where use_case = :use_case and model_version = :model_version
order by verdict_id desc
limit 1
