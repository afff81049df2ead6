-- The records of a use case, or those of a batch that are still to be merged with them.
create {kind} table {table} (
    record_key text collate "C" not null,
    revision integer not null,
    batch_id bigint not null,
    line bigint not null,
    {columns}
)
