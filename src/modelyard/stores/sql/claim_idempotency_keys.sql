-- claim_idempotency_keys
-- Keeps the keys that no request has had in the last so many seconds ($8), and tells whose request got its key.
insert into idempotency_keys as known (
    use_case, idempotency_key, body_sha256, request_id, answer, created_at, caller
)
select * from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[])
on conflict (caller, use_case, idempotency_key) do update set
    body_sha256 = excluded.body_sha256,
    request_id = excluded.request_id,
    answer = excluded.answer,
    created_at = excluded.created_at
where known.created_at < now() - make_interval(secs => $8) or known.request_id = excluded.request_id
returning request_id
