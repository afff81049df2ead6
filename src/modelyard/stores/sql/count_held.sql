-- How many records there are that are known by what they hold, and how many of them the file holds, too. A record that
-- is there three times must be three times in the file.
with staged as (
    select record_key as content, count(*) as records
    from {staging}
    group by record_key
),
known as (
    select split_part(record_key, '-', 1) as content, count(*) as records
    from {table}
    where revision = 1
    group by 1
)
select
    coalesce(sum(known.records), 0)::bigint as there,
    coalesce(sum(least(known.records, coalesce(staged.records, 0))), 0)::bigint as held
from known
left join staged using (content)
