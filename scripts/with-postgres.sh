#!/usr/bin/env bash
# Runs a command with a PostgreSQL server of its own: `with-postgres.sh COMMAND...`. The server is new and
# empty, listens on a free port of 127.0.0.1 and on a socket in its folder, and is told to the command as
# RINGDOWN_TEST_POSTGRES. When the command ends, so does the server, its folder goes, and the command's exit
# code is passed on. No database that exists already is touched. The server does not wait for the disk: only a
# machine that loses its power would tell the difference, and no test does that. RINGDOWN_POSTGRES_FSYNC=on
# makes it wait, for measurements.
set -euo pipefail

say() { printf 'with-postgres: %s\n' "$*" >&2; }
fail() { say "$*"; exit 2; }

(($# > 0)) || fail "say what to run: scripts/with-postgres.sh cargo nextest run -p ringdown-store"

# Debian keeps the server's programs out of PATH, one folder for each version: the newest is taken.
find_program() {
    command -v "$1" || compgen -G "/usr/lib/postgresql/*/bin/$1" | sort -V | tail -n 1
}
postgres=$(find_program postgres) && [[ -n $postgres ]] ||
    fail "there is no PostgreSQL server: run scripts/tools.sh test, or install the package postgresql"
postgres=$(readlink -f "$postgres")
bin=$(dirname "$postgres")
for program in initdb pg_isready psql; do
    [[ -x $bin/$program ]] || fail "$bin has no $program: install the package postgresql"
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/ringdown-postgres.XXXXXX")
server='' command=''

finish() {
    trap '' INT TERM HUP
    if [[ -n $server ]]; then
        # INT is PostgreSQL's fast shutdown, QUIT its immediate one.
        kill -INT "$server" 2> /dev/null || true
        for _ in {1..100}; do
            kill -0 "$server" 2> /dev/null || break
            sleep 0.1
        done
        kill -QUIT "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
    fi
    rm -rf "$folder"
}
trap finish EXIT
trap '[[ -z $command ]] || kill -TERM "$command" 2> /dev/null; exit 130' INT
trap '[[ -z $command ]] || kill -TERM "$command" 2> /dev/null; exit 143' TERM HUP

# PostgreSQL does not run as root. If this script is killed, the server is told to stop.
as_server=(setpriv --pdeathsig INT)
if (($(id -u) == 0)); then
    user=postgres
    id -u "$user" > /dev/null 2>&1 || user=nobody
    chown "$user" "$folder"
    as_server=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --pdeathsig INT)
fi

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
(umask 077 && printf '%s\n' "$password" > "$folder/password")
if (($(id -u) == 0)); then chown "$user" "$folder/password"; fi
(cd "$folder" && "${as_server[@]}" "$bin/initdb" --pgdata "$folder/data" --username ringdown \
    --pwfile "$folder/password" --auth scram-sha-256 --encoding UTF8 --locale C --no-sync \
    > "$folder/initdb.log" 2>&1) || { cat "$folder/initdb.log" >&2; fail "initdb failed"; }

# Another process may take a port between its choice and its use: then the next one is tried.
started=''
for _ in {1..10}; do
    port=$((20000 + (RANDOM << 15 | RANDOM) % 12000))
    (cd "$folder" && exec "${as_server[@]}" "$bin/postgres" -D "$folder/data" -h 127.0.0.1 -p "$port" \
        -k "$folder" -c max_connections=200 -c fsync="${RINGDOWN_POSTGRES_FSYNC:-off}") > "$folder/server.log" 2>&1 &
    server=$!
    for _ in {1..600}; do
        if "$bin/pg_isready" --quiet --host "$folder" --port "$port"; then
            started=yes
            break 2
        fi
        kill -0 "$server" 2> /dev/null || break
        sleep 0.1
    done
    kill -INT "$server" 2> /dev/null || true
    wait "$server" 2> /dev/null || true
    server=''
    grep -q 'could not create any TCP/IP sockets' "$folder/server.log" || break
done
[[ -n $started ]] || { cat "$folder/server.log" >&2; fail "PostgreSQL did not start"; }

export RINGDOWN_TEST_POSTGRES="postgres://ringdown:$password@127.0.0.1:$port/postgres"
"$@" <&0 &
command=$!
code=0
wait "$command" || code=$?
command=''
if ! kill -0 "$server" 2> /dev/null; then
    tail -n 50 "$folder/server.log" >&2
    say "PostgreSQL ended before the command did"
    ((code != 0)) || code=1
fi
exit "$code"
