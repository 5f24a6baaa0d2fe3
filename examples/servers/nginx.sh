#!/bin/sh
# Runs nginx in the foreground with its files in ./state/nginx.
set -eu

PATH=$PATH:/usr/sbin
mkdir -p state/nginx
exec nginx -p "$PWD/state/nginx" -c "$PWD/nginx.conf" -e stderr -g 'daemon off;'
