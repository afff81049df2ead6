-- add_scored
-- Adds the page; a row that is there already stays as it is.
insert into predictions ({columns}) select {columns} from scored on conflict do nothing
