-- The versions that passed the gate, and whether each was the best then, first to last; without those taken out again.
select promoted.model_version, coalesce((promoted.numbers ->> 'is_best')::boolean, false) as is_best
from gate_verdicts promoted
where promoted.use_case = :use_case and promoted.verdict = 'promoted' and not exists (
    select from gate_verdicts taken_out
    where taken_out.use_case = :use_case and taken_out.verdict = 'rolled back'
        and taken_out.previous_version = promoted.model_version
        and taken_out.verdict_id > promoted.verdict_id
)
order by promoted.verdict_id
