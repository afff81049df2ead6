-- New keys are added, known keys with other values get a new revision, the rest is left alone.
with merged as (
    insert into {table} (record_key, revision, batch_id, line, {columns})
    select staged.record_key, coalesce(latest.revision, 0) + 1, staged.batch_id, staged.line, {staged_columns}
    from {staging} as staged
    left join lateral (
        select *
        from {table} as known
        where known.record_key = staged.record_key
        order by known.revision desc
        limit 1
    ) as latest on true
    where latest.record_key is null or row({staged_columns}) is distinct from row({latest_columns})
    order by staged.record_key
    returning revision
)
select count(*) filter (where revision = 1) as added, count(*) filter (where revision > 1) as revised
from merged
