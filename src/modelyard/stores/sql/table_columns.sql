-- The columns of a table as they stand in the catalogue; none when there is no such table.
select attname as name, format_type(atttypid, atttypmod) as type, not attnotnull as nullable
from pg_attribute
where attrelid = to_regclass(:table) and attnum > 0 and not attisdropped
order by attnum
