-- A batch whose rows are still to come.
insert into batches (use_case, sha256, declaration_sha256, source)
values (:use_case, :sha256, :declaration_sha256, :source)
returning batch_id
