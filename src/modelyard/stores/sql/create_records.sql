-- The records of a use case, or those of a batch that are still to be merged with them.
-- What is the same for a whole batch is not sent with each of its records. (A utility statement takes no parameters on
-- the server; the driver writes the number in.)
create {kind} table {table} (
    record_key text collate "C" not null,
    revision integer not null default 1,
    batch_id bigint not null default :batch_id,
    line bigint not null,
    {columns}
)
