-- Takes a process of the API off the list when it ends, with those that ended long ago without saying so.
delete from api_processes where process_id = $1 or seen_at < now() - interval '1 day'
