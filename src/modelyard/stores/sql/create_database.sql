-- A database, owned by the service that keeps its tables in it, else by the administrator.
create database {database} owner {owner}
