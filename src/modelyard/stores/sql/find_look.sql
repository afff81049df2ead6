-- The look that a model was given on a test part, if it was judged on it before.
select doubling, look
from gate_looks
where data_name = :data_name and model_version = :model_version and snapshot_id = :snapshot_id
