-- Predictions by month. A table that grows with every answer is kept small by dropping its oldest month, which costs
-- nothing, where deleting rows would cost as much as adding them did. Its key is a UUIDv7, whose first 48 bits are
-- milliseconds, so that a range of keys is a span of time: the key alone stays unique, and says in which part a row is.

-- The smallest UUIDv7 of a moment. Rows since then are `request_id >= first_request_id(then)`.
create function first_request_id(moment timestamptz) returns uuid
language sql immutable strict parallel safe as $$
    select rpad(lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

alter table predictions rename to predictions_unparted;

create table predictions (
    request_id uuid not null,
    use_case text not null,
    model_version bigint not null,
    role text not null default 'production',
    record_key text,
    features jsonb not null,
    prediction jsonb not null,
    probabilities jsonb,
    latency_ms real not null,
    created_at timestamptz not null default now()
) partition by range (request_id);

-- Takes what no month takes, so that no answer is ever refused for want of a part.
create table predictions_other partition of predictions default;

-- Makes the part of a month, if there is none, and moves there what was kept elsewhere of it.
create function add_prediction_month(moment timestamptz) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    month timestamptz := date_trunc('month', moment, 'UTC');
    low uuid := first_request_id(month);
    high uuid := first_request_id(month + interval '1 month');
    part text := 'predictions_' || to_char(month at time zone 'UTC', 'YYYY_MM');
begin
    if to_regclass(part) is not null then
        return false;
    end if;
    perform pg_advisory_xact_lock(7240114);
    if to_regclass(part) is not null then
        return false;
    end if;
    lock table predictions_other in access exclusive mode;
    execute format('create table %I (like predictions including defaults)', part);
    execute format(
        'with moved as (delete from predictions_other where request_id >= %L and request_id < %L returning *)
         insert into %I select * from moved', low, high, part
    );
    execute format('alter table predictions attach partition %I for values from (%L) to (%L)', part, low, high);
    return true;
end
$$;

-- Makes the parts of this month and of the next ones. For every process that adds predictions, when it starts and then
-- daily: parts are there as long as somebody needs them, and nobody who only adds rows may make other tables.
create function add_prediction_months() returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    ahead integer;
begin
    for ahead in 0..3 loop
        perform add_prediction_month(now() + make_interval(months => ahead));
    end loop;
end
$$;

-- Drops the parts that are older than so many whole months before this one, and as old rows of no part; tells how many.
create function drop_prediction_months(kept integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    oldest timestamptz := date_trunc('month', now(), 'UTC') - make_interval(months => kept);
    part text;
    dropped integer := 0;
begin
    if kept < 1 then
        raise exception 'at least one month of predictions is kept, not %', kept;
    end if;
    for part in
        select relname from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = 'predictions'::regclass and relname ~ '^predictions_\d{4}_\d{2}$'
            and relname < 'predictions_' || to_char(oldest at time zone 'UTC', 'YYYY_MM')
    loop
        execute format('drop table %I', part);
        dropped := dropped + 1;
    end loop;
    delete from predictions_other where created_at < oldest;
    return dropped;
end
$$;

select add_prediction_month(month)
from (select distinct date_trunc('month', created_at, 'UTC') as month from predictions_unparted) as months;
select add_prediction_months();

insert into predictions (
    request_id, use_case, model_version, role, record_key, features, prediction, probabilities, latency_ms, created_at
)
select
    request_id, use_case, model_version, role, record_key, features, prediction, probabilities, latency_ms, created_at
from predictions_unparted;
drop table predictions_unparted;

alter table predictions add primary key (request_id);
-- What the newest answers of a use case were; how those of a span of time are spread; which answer a record got.
create index on predictions (use_case, created_at);
create index on predictions (use_case, record_key) where record_key is not null;

grant select, insert, update, delete on predictions to pipeline;
grant insert on predictions to api;
grant select on predictions to explorer;
revoke all on function add_prediction_month, add_prediction_months, drop_prediction_months from public;
grant execute on function add_prediction_months to api, pipeline;
grant execute on function drop_prediction_months to pipeline;
