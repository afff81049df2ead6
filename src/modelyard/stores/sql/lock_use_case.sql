-- One load or snapshot of a use case at a time: the lock goes with the transaction.
select pg_advisory_xact_lock(hashtextextended(:use_case, 0))
