-- What an API process says of the version in production has the names that the API and the documentation use.
alter table served_models rename column offered_version to target_version;
alter table served_models rename column proof to self_test;
