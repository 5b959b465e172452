# What goes wrong for every client alike: read by lib.sh. Each case puts things right again at its end.
owner=() # how a program is run as the person who owns the token, if that is not who runs the script

wrong_pins() { # wrong_pins COUNT: given by pkcs11-tool
    local try tool=("${owner[@]}" pkcs11-tool --module "$module" --login --pin 00000000 --list-objects)
    for ((try = 1; try <= $1; try++)); do
        fails "a wrong PIN by hand ($try of $1)" "CKR_PIN_(INCORRECT|LOCKED)" "${tool[@]}"
    done
}

unlock() { # the officer gives the user's PIN again: the wrong ones are forgotten
    step "the officer gives the PIN again" "${owner[@]}" pkcs11-tool --module "$module" --init-pin \
        --login --login-type so --so-pin "$so_pin" --pin "$pin"
}

locked() { # locked PATTERN COMMAND…: the user is locked; the command, with the right PIN, fails and prints what matches
    wrong_pins 5
    fails "a locked user is told so" "$@"
    unlock
}

no_token() { # no_token PATTERN COMMAND…: there is no token; the command fails and prints what matches
    local -x XDG_DATA_HOME=$work/nothing
    mkdir -p "$XDG_DATA_HOME"
    fails "without a token" "$@"
}

# In front of a program: root minds file modes too, when the capability to write is gone. It may read, and become the user
# of its server.
mindful=()
[ "$(id -u)" != 0 ] || mindful=(setpriv --bounding-set=-all,+dac_read_search,+setuid,+setgid,+kill)
powerless=() # what a function that `read_only` runs puts in front of its programs

read_only() { # read_only COMMAND…: runs it over a copy of the store that nobody may write
    local copy=$work/read-only powerless=("${owner[@]}")
    [ ${#owner[@]} -gt 0 ] || powerless=("${mindful[@]}")
    if [ -d "$copy" ]; then chmod -R u+w "$copy" && rm -r "$copy"; fi
    cp -a "$XDG_DATA_HOME" "$copy"
    chmod -R a-w "$copy"
    local -x XDG_DATA_HOME=$copy
    ! "${powerless[@]}" test -w "$copy/strongroom/token.db" || { echo "$copy can be written"; return 1; }
    if [ "$(type -t "$1")" = function ]; then "$@"; else timeout 60 "${powerless[@]}" "$@"; fi
}

store_away() { # the token's files are gone, under whoever has them open
    mv "$XDG_DATA_HOME/strongroom" "$work/away"
}

store_back() {
    rm -rf "$XDG_DATA_HOME/strongroom"
    mv "$work/away" "$XDG_DATA_HOME/strongroom"
}

removed() { # removed PID COMMAND…: the token's files are moved away under PID, which serves COMMAND, and come back
    store_away
    ends "the token's files are removed: a request ends, well or not" "${@:2}"
    ends "and another" "${@:2}"
    step "the server runs on" kill -0 "$1"
    store_back
}

# The command prints what matches; the token's files are moved away; what it goes on to do ends, well or not.
removed_under() { # removed_under PATTERN COMMAND…: if the command reads from descriptor 8, it is given the PIN meanwhile
    local pattern=$1
    mkfifo "$work/keyboard"
    exec 8<>"$work/keyboard"
    background interrupted.log "${@:2}"
    timeout 30 bash -c 'until grep -qE -- "$0" "$1"; do sleep 0.01; done' "$pattern" "$work/interrupted.log" ||
        { cp "$work/interrupted.log" "$work/output"; failed "to begin with: $pattern"; }
    # Halted, it cannot be over before the files are gone.
    kill -STOP "$child" && wait_for grep -q "^State:.T" "/proc/$child/status" || failed "it was over too early"
    store_away
    kill -CONT "$child"
    echo "$pin" >&8
    exec 8>&-
    rm "$work/keyboard"
    ends "the token's files are removed while it works: it ends, well or not" over "$child"
    store_back
}

over() { # over PID: it ends within a minute; its words and its exit code
    timeout 60 tail --pid="$1" -f /dev/null || return
    cat "$work/interrupted.log"
    wait "$1"
}
