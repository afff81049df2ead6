-- By default everybody may connect to a database.
revoke all on database {database} from public
