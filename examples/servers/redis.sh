#!/bin/sh
# Runs Redis in the foreground. Redis saves to the directory when it stops.
set -eu

mkdir -p state/redis
exec redis-server --dir "$PWD/state/redis" --save 3600 1 --protected-mode no
