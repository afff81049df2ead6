-- create_scored
-- A place for a page of predictions on their way into the table.
create temporary table if not exists scored (like predictions including defaults) on commit delete rows
