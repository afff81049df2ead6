-- How many records of a use case were rejected.
select count(*) from rejected_records where use_case = :use_case
