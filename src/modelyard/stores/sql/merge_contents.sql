-- Records that are known by what they hold. Of equal ones, so many count as known as those batches have whose records
-- the file brings again; what it has beyond them is added, numbered on from the last that is there.
-- (No feature's name begins with an underscore: none is called as the two columns that are made here.)
with staged as (
    select *, row_number() over (partition by record_key order by line) as _occurrence
    from {staging}
),
known as (
    select
        split_part(record_key, '-', 1) as content,
        count(*) filter (where batch_id <= :until or batch_id = any(:batches)) as records,
        -- The expression is dear, and most keys have no number.
        max(
            case
                when record_key like '%-%' then coalesce(substring(record_key from '-([0-9]{{1,18}})$')::bigint, 1)
                else 1
            end
        ) as last
    from {table}
    where revision = 1
    group by 1
),
numbered as (
    select staged.*, coalesce(known.last, 0) + staged._occurrence - coalesce(known.records, 0) as _number
    from staged
    left join known on known.content = staged.record_key
    where staged._occurrence > coalesce(known.records, 0)
)
insert into {table} (record_key, revision, batch_id, line, {columns})
select case when _number = 1 then record_key else record_key || '-' || _number end, 1, batch_id, line, {columns}
from numbered
order by record_key
