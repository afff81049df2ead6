-- A snapshot that is not kept.
delete from snapshots where use_case = :use_case and snapshot_id = :snapshot_id
