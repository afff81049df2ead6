-- The ends of the interval around a regression's answer, where the model has intervals.
alter table predictions add column lower double precision, add column upper double precision;

grant select (lower, upper) on predictions to api;
