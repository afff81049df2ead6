-- Of records with the same key in one file, the first is kept; the others go where rejected records go.
with counted as (
    select
        ctid as place,
        row_number() over of_key as occurrence,
        first_value(line) over of_key as first_line
    from {table}
    window of_key as (partition by record_key order by line)
),
removed as (
    delete from {table} as staged
    using counted
    where staged.ctid = counted.place and counted.occurrence > 1
    returning staged.line, staged.record_key, counted.first_line, array_to_string(array[{texts}], ',', '') as record
)
insert into rejected_records (batch_id, use_case, source, line, column_name, reason, record)
select
    :batch_id, :use_case, :source, line, :key,
    format('%L is the key of line %s already', record_key, first_line), record
from removed
