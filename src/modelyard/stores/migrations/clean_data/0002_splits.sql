-- How a snapshot was parted: the split as it was declared, and where the parts of one by time begin (in UTC).
-- Snapshots of former releases have neither: their parts follow from the records' keys.
alter table snapshots
    add column split jsonb,
    add column validation_from timestamp,
    add column test_from timestamp;
