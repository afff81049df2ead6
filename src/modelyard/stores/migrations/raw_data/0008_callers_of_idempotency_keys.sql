-- Each caller of the API has keys of its own, told apart by a hash of the API key. Empty: an API without keys, or a row
-- from before callers were told apart.
alter table idempotency_keys add column caller text not null default '';
alter table idempotency_keys drop constraint idempotency_keys_pkey;
alter table idempotency_keys add primary key (caller, use_case, idempotency_key);
