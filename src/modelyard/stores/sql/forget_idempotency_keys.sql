-- forget_idempotency_keys
-- Removes the keys that are older than so many seconds ($1).
delete from idempotency_keys where created_at < now() - make_interval(secs => $1)
