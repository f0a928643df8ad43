#!/bin/sh
# Installs what some tests need beside Node and npm: socat and jq for the shell program of docs/clients.md,
# zsh and fish for their completions, groff for the manual page, nc for the walk-through of AimX, curl and
# nginx for the HTTP socket, a parser for its metrics.
# Tests that miss a tool are ignored and say so; hence this never fails. It does nothing when all is there,
# uses apt-get when it runs as root, and otherwise says what is missing.
set -u

missing=""
for tool in socat jq zsh fish groff curl nc; do
  command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
# Some paths have no sbin.
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null 2>&1 || missing="$missing nginx-light"
# The system's own Python has the packages; another may come first in the path.
for python in /usr/bin/python3 python3; do
  "$python" -c 'import prometheus_client' >/dev/null 2>&1 && break
  [ "$python" = python3 ] && missing="$missing python3-prometheus-client"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "test tools: not installed:$missing; the tests that need them are ignored"
  exit 0
fi

# The lists of packages may be absent or old, so a first failure is answered with an update.
install() {
  packages=$(echo "$missing" | sed 's/ nc$/ netcat-openbsd/')
  # shellcheck disable=SC2086 # one word for each package
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
}
if install >/dev/null 2>&1 || { apt-get update && install; } >/dev/null 2>&1; then
  echo "test tools: installed:$missing"
else
  echo "test tools: apt-get could not install:$missing; the tests that need them are ignored"
fi
