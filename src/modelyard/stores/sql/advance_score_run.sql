-- advance_score_run
-- Notes a page that is there.
update score_runs set pages = :pages, rows = :rows, sha256 = :sha256 where target = :target
