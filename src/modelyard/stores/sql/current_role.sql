-- Who we are.
select current_user
