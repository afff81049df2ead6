-- find_idempotency_key
-- What was answered to the request with a key ($n: the driver of the API).
select body_sha256, request_id::text, answer, created_at
from idempotency_keys
where use_case = $1 and idempotency_key = $2
