-- Keeps what the gate said of a version.
insert into gate_verdicts (use_case, model_version, previous_version, verdict, reasons, numbers)
values (:use_case, :model_version, :previous_version, :verdict, cast(:reasons as jsonb), cast(:numbers as jsonb))
