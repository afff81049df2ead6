-- One answer as it was kept.
select * from predictions where request_id = :request_id
