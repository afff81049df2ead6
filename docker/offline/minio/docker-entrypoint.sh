#!/bin/sh
# What does not name the server is its arguments.
[ "$1" = minio ] || set -- minio "$@"
exec "$@"
