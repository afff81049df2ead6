-- Of a test part that rolls on, when its oldest and its newest record came about (in UTC): looks at parts without common
-- records are counted apart, so that several are the first, or the second.
alter table gate_looks
    add column test_from timestamp,
    add column test_until timestamp,
    drop constraint gate_looks_data_name_doubling_look_key;
