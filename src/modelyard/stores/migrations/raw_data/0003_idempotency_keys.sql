-- Requests that a client may send twice: its name for one, and the answer that it got. Removed after a stated time.

create table idempotency_keys (
    use_case text not null,
    idempotency_key text not null,
    body_sha256 text not null,
    request_id uuid not null,
    answer text not null,
    created_at timestamptz not null default now(),
    primary key (use_case, idempotency_key)
);
create index on idempotency_keys (created_at);

grant select, insert, update, delete on idempotency_keys to pipeline, api;
grant select on idempotency_keys to explorer;
