#!/bin/sh
# Installs the npm packages that the tests run against into the folder $1, as the lock
# file beside this has them. Two of these at once wait for each other.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
tries=0
while ! mkdir lock 2>/dev/null; do
  tries=$((tries + 1))
  if [ "$tries" -gt 120 ]; then
    echo "$1/lock is held: remove it if nobody installs" >&2
    exit 1
  fi
  sleep 1
done
trap 'rmdir lock' EXIT
if [ -d node_modules ] && cmp -s "$here/package-lock.json" package-lock.json; then
  exit 0
fi
rm -rf node_modules
cp "$here/package.json" .
cp "$here/package-lock.json" npm-shrinkwrap.json
npm ci --loglevel=error --no-audit --no-fund --fetch-retries=1
mv npm-shrinkwrap.json package-lock.json
