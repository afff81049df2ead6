-- A snapshot that was there already is what the newest records are: it counts as the newest.
update snapshots set chosen_at = clock_timestamp() where use_case = :use_case and snapshot_id = :snapshot_id
