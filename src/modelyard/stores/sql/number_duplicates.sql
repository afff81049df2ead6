-- Equal records without a key of their own: the second is told from the first by its number, and so on.
with counted as (
    select ctid as place, row_number() over (partition by record_key order by line) as occurrence
    from {table}
)
update {table} as staged
set record_key = staged.record_key || '-' || counted.occurrence
from counted
where staged.ctid = counted.place and counted.occurrence > 1
