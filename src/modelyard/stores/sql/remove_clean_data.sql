-- What snapshots there were; they are in a table of their own.
delete from snapshots where use_case = :data_name
