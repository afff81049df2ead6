-- Whether this role can keep predictions: fails when the database was not set up.
select has_table_privilege('predictions', 'insert')
