-- What was asked of a use case and what its steps and its gate said; how often the gate has looked stays.
with answered as (delete from predictions where use_case = :use_case returning 1),
    known as (delete from idempotency_keys where use_case = :use_case),
    done as (delete from step_results where use_case = :use_case),
    judged as (delete from gate_verdicts where use_case = :use_case),
    served as (delete from served_models where use_case = :use_case)
select count(*) from answered
