-- find_idempotency_key
-- What was answered to the request of a caller with a key ($n: the driver of the API).
select body_sha256, request_id::text, answer, created_at
from idempotency_keys
where caller = $1 and use_case = $2 and idempotency_key = $3
