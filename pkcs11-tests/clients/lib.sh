# For the `run` script of each client: a scratch folder, a token of its own, steps that print.
#
#   #!/usr/bin/env bash
#   # What the client does here, in a sentence. Usage: run [MODULE.so]
#   . "$(dirname "$0")/../lib.sh"
#   needs opensc openssl
#   client "OpenSC pkcs11-tool" "$(dpkg-query -W -f='${Version}' opensc)" "init, sign, verify"
#   token "my token"
#   step "it signs" pkcs11-tool --module "$module" …
#
# A step that fails prints the command's output and ends the run. Everything started with `background`
# is stopped by its process id when the script ends, however it ends.
set -euo pipefail
name=$(basename "$(cd "$(dirname "$0")" && pwd)")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
module=$(realpath "${1:-${CARGO_TARGET_DIR:-$root/target}/release/libstrongroom.so}")
strongroom=$(dirname "$module")/strongroom
here=$root/pkcs11-tests/clients/$name
# Kept after the run: screenshots, logs, generated files worth a look.
artefacts=${CARGO_TARGET_DIR:-$root/target}/clients/$name
work=$(mktemp -d)
mkdir -p "$artefacts"
export STRONGROOM=$module
# No configuration of the person who runs this: neither ours nor the clients'.
export HOME=$work/home XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config LC_ALL=C.UTF-8
mkdir -p "$HOME" "$XDG_DATA_HOME" "$XDG_CONFIG_HOME"
so_pin=87654321 pin=12345678
steps=0
children=()

finish() {
    local code=$? child
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    for child in "${children[@]}"; do wait "$child" 2>/dev/null || true; done
    rm -rf "$work"
    [ "$code" = 0 ] && echo "$name: $steps steps" || echo "$name: FAILED after $steps steps"
    exit "$code"
}
trap finish EXIT

needs() { # needs PACKAGE…: Debian packages
    "$root/ci/install" "$@"
}

client() { # client PROGRAM VERSION WHAT: a row of the README's table of clients
    echo "client: $1 | $2 | $3"
}

package_version() { # package_version PACKAGE: without epoch and Debian's revision
    dpkg-query -W -f='${Version}' "$1" | sed 's/^[0-9]*://; s/[-+~].*//'
}

passed() {
    steps=$((steps + 1))
    echo "ok - $name: $1"
}

failed() { # failed TEXT: prints what the last command said, and ends
    echo "FAILED - $name: $1"
    sed 's/^/    /' "$work/output"
    exit 1
}

step() { # step TEXT COMMAND…: the command succeeds
    local text=$1
    shift
    if "$@" >"$work/output" 2>&1 </dev/null; then passed "$text"; else failed "$text"; fi
}

refused() { # refused TEXT COMMAND…: the command fails by itself: no signal, no time-out
    local text=$1 code=0
    shift
    timeout 60 "$@" >"$work/output" 2>&1 </dev/null || code=$?
    if [ "$code" != 0 ] && [ "$code" -lt 124 ]; then passed "$text"; else failed "$text (exit code $code)"; fi
}

says() { # says TEXT PATTERN COMMAND…: the command, whatever its exit code, prints what matches
    local text=$1 pattern=$2 code=0
    shift 2
    timeout 60 "$@" >"$work/output" 2>&1 </dev/null || code=$?
    if [ "$code" -lt 124 ] && grep -qE -- "$pattern" "$work/output"; then
        passed "$text"
    else
        failed "$text (exit code $code, wanted: $pattern)"
    fi
}

saying() { # step TEXT saying PATTERN COMMAND…: the command, or function, succeeds and prints what matches
    "${@:2}" >"$work/words" 2>&1 && cat "$work/words" && grep -qE -- "$1" "$work/words"
}

not() { # step TEXT not PATTERN COMMAND…: the command, or function, fails by itself and prints what matches
    local code=0
    "${@:2}" >"$work/words" 2>&1 || code=$?
    cat "$work/words"
    # 124 is a time-out, up to 192 a signal; a program's own -1 is 255.
    ((code > 0 && (code < 124 || code > 192))) && grep -qE -- "$1" "$work/words"
}

background() { # background LOG COMMAND…: started, its pid in $child, its output in $work/LOG
    local log=$work/$1
    shift
    "$@" >"$log" 2>&1 </dev/null &
    child=$!
    children+=("$child")
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_for() { # wait_for COMMAND…: tries ten times a second, for half a minute
    local try
    for ((try = 0; try < 300; try++)); do
        "$@" >"$work/output" 2>&1 </dev/null && return
        sleep 0.1
    done
    return 1
}

wait_for_port() { # wait_for_port PORT: somebody listens on loopback
    wait_for python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$1"
}

token() { # token LABEL: a token with the officer `so` ($so_pin) and the user `user` ($pin)
    needs opensc python3
    local tool=(pkcs11-tool --module "$module")
    "${tool[@]}" --init-token --label "$1" --so-pin "$so_pin" >"$work/output" 2>&1 &&
        "${tool[@]}" --init-pin --login --login-type so --so-pin "$so_pin" --pin "$pin" >>"$work/output" 2>&1 ||
        failed "make a token"
}
