-- The records of a use case's snapshots; each snapshot is a partition, made, read and dropped as a whole.
create table {table} (
    snapshot_id text not null,
    record_key text collate "C" not null,
    part text not null,
    {columns},
    primary key (snapshot_id, record_key)
) partition by list (snapshot_id)
