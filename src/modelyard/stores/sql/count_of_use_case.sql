-- How many rows of a shared table belong to a use case.
select count(*) from {table} where use_case = :use_case
