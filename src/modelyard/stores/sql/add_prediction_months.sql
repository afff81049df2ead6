-- add_prediction_months
-- Makes the parts where the predictions of this month and of the next ones will be kept.
select add_prediction_months()
