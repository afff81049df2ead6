-- finish_score_run
-- Notes that all pages are there.
update score_runs set finished = true where target = :target
