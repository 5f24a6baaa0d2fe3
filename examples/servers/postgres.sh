#!/bin/sh
# Runs PostgreSQL in the foreground; the first run makes the database.
# PostgreSQL refuses to run as root, so root hands over to the user postgres.
set -eu

data=$PWD/state/postgres
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)

mkdir -p "$data"
chmod 700 "$data"
as_owner=
if [ "$(id -u)" = 0 ]; then
    chown postgres: "$data"
    as_owner="setpriv --reuid=postgres --regid=postgres --init-groups"
fi

if [ ! -e "$data/PG_VERSION" ]; then
    $as_owner initdb --pgdata="$data" --username=postgres --auth=trust --no-sync >/dev/null
fi
exec $as_owner postgres -D "$data" -k '' -c 'listen_addresses=*'
