-- How many answers of the API there are for a use case, without what challengers and scorings said.
select count(*) from predictions where use_case = :use_case and role = 'production'
