-- drop_prediction_months
-- Drops the parts of the predictions that are older than so many whole months before this one.
select drop_prediction_months(:months)
