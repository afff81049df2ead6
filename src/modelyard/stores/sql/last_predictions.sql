-- What was answered last for a use case ($1), the newest first, and no more than so many ($2).
select request_id, created_at, model_version, record_key, prediction, probabilities, lower, upper
from predictions
where use_case = $1 and role = 'production'
order by created_at desc, request_id desc
limit $2
