-- The API shows what it answered last: what it said of whom, and never what it was told.
grant select (request_id, use_case, model_version, role, record_key, prediction, probabilities, created_at)
    on predictions to api;
