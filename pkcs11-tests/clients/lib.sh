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
#
# Beside it, for those that need them: mishaps.sh (what goes wrong for every client), engine.sh (keys by OpenSSL's
# engine for servers), openssl.sh, openssl-tls.sh, openssl-mistakes.sh (openssl by engine and provider), web.sh (web
# servers under load), dnssec.sh (zones); the programs at-prompt, handshakes.py, newer-debian say themselves what they do.
set -euo pipefail
name=$(basename "$(cd "$(dirname "$0")" && pwd)")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
module=$(realpath "${1:-${CARGO_TARGET_DIR:-$root/target}/release/libstrongroom.so}")
strongroom=$(dirname "$module")/strongroom
clients=$root/pkcs11-tests/clients
here=$clients/$name
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
    [ ! -d "$work/read-only" ] || chmod -R u+w "$work/read-only"
    rm -rf "$work"
    [ "$code" = 0 ] && echo "$name: $steps steps" || echo "$name: FAILED after $steps steps"
    exit "$code"
}
trap finish EXIT

needs() { # needs PACKAGE…: Debian packages
    "$root/ci/install" "$@"
}
needs python3 # for free ports

client() { # client PROGRAM VERSION WHAT: a row of the table in pkcs11-tests/reference/clients.md
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

attempt() { # attempt COMMAND…: a program has a minute, a function its own; words in $work/output, exit code in $code
    local limit=(timeout 60)
    [ "$(type -t "$1")" != function ] || limit=()
    code=0
    "${limit[@]}" "$@" >"$work/output" 2>&1 </dev/null || code=$?
}

accident() { # the last attempt ran out of time (124), could not be started, or was ended by a signal (129 to 192)
    ((code >= 124 && code <= 192))
}

refused() { # refused TEXT COMMAND…: the command fails by itself
    local text=$1 code
    attempt "${@:2}"
    ((code > 0)) && ! accident || failed "$text (exit code $code)"
    passed "$text"
}

says() { # says TEXT PATTERN COMMAND…: the command, whatever its exit code, prints what matches
    local text=$1 pattern=$2 code
    attempt "${@:3}"
    ! accident && grep -qE -- "$pattern" "$work/output" || failed "$text (exit code $code, wanted: $pattern)"
    passed "$text"
}

fails() { # fails TEXT PATTERN COMMAND…: the command fails by itself, and prints what matches
    local text=$1 pattern=$2 code
    attempt "${@:3}"
    # An empty pattern: the program has no words for it, only an exit code.
    ((code > 0)) && ! accident && { [ -z "$pattern" ] || grep -qE -- "$pattern" "$work/output"; } ||
        failed "$text (exit code $code, wanted: $pattern)"
    passed "$text"
}

ends() { # ends TEXT COMMAND…: well or not, but by itself
    local text=$1 code
    attempt "${@:2}"
    ! accident || failed "$text (exit code $code)"
    passed "$text"
}

saying() { # step TEXT saying PATTERN COMMAND…: the command, or function, succeeds and prints what matches
    "${@:2}" >"$work/words" 2>&1 && cat "$work/words" && grep -qE -- "$1" "$work/words"
}

background() { # background LOG COMMAND…: started, its pid in $child, its output in $work/LOG
    local log=$work/$1
    shift
    "$@" >"$log" 2>&1 </dev/null &
    child=$!
    children+=("$child")
}

stop() { # stop PID: told to end, and waited for
    kill "$1" && wait "$1" || true
}

logged() { # logged TEXT PATTERN LOG: what matches comes up in $work/LOG
    wait_for grep -qE -- "$2" "$work/$3" || { cp "$work/$3" "$work/output"; failed "$1 (wanted: $2)"; }
    passed "$1"
}

free_port() { # free_port [STREAM|DGRAM]: nobody has it on loopback
    python3 -c 'import socket, sys
s = socket.socket(type=getattr(socket, "SOCK_" + sys.argv[1])); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' "${1:-STREAM}"
}

hex() { # hex TEXT
    printf %s "$1" | od -An -tx1 | tr -d ' \n'
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

token() { # token LABEL [RUNNER…]: a token with the officer `so` ($so_pin) and the user `user` ($pin), made through RUNNER
    local tool=("${@:2}" pkcs11-tool --module "$module")
    needs opensc
    "${tool[@]}" --init-token --label "$1" --so-pin "$so_pin" >"$work/output" 2>&1 &&
        "${tool[@]}" --init-pin --login --login-type so --so-pin "$so_pin" --pin "$pin" >>"$work/output" 2>&1 ||
        failed "make a token"
}

allow() { # allow SWITCH…: a configuration that loosens these rules against attacks; before the token is made
    mkdir -p "$XDG_CONFIG_HOME/strongroom"
    { printf '[[slot]]\n[slot.allow]\n' && printf '%s = true\n' "$@"; } >"$XDG_CONFIG_HOME/strongroom/config.toml"
}

. "$clients/mishaps.sh"
