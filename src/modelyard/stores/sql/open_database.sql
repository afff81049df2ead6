-- These roles may connect; what each may read and write is said table by table.
grant connect, temporary on database {database} to {roles}
