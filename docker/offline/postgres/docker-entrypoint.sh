#!/usr/bin/env bash
# The first start makes the cluster, the role POSTGRES_USER with POSTGRES_PASSWORD, and the database POSTGRES_DB.
set -euo pipefail

if [ "${1:0:1}" = "-" ]; then
  set -- postgres "$@"
fi
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  chown -R postgres: "$PGDATA" /var/run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?the superuser needs a password: set POSTGRES_PASSWORD}"
  user=${POSTGRES_USER:-postgres}
  initdb --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --auth-local=trust --auth-host=scram-sha-256
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    # Nobody can connect over the network while the database is made.
    pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses=''"
    createdb --username="$user" --maintenance-db=postgres "${POSTGRES_DB:-$user}"
    pg_ctl -D "$PGDATA" -m fast -w stop
  fi
  sed -i "s/^#\?listen_addresses = .*/listen_addresses = '*'/" "$PGDATA/postgresql.conf"
fi
exec "$@"
