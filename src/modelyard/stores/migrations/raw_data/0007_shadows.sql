-- What a challenger said of a record that was asked of production: the row of production's answer. No foreign key: either
-- row may come first, or be all that is left of the two.
alter table predictions add column shadows uuid;
