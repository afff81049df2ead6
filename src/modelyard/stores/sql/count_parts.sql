-- How many records each part of a snapshot has.
select part, count(*) as rows from {partition} group by part
