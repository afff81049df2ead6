-- A utility statement takes no parameters on the server; the driver writes the quoted literal in.
alter role {role} password :password
