-- A role that can connect and nothing else.
create role {role} login
