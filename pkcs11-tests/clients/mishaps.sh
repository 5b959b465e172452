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

read_only() { # read_only COMMAND…: runs it over a copy of the store that nobody may write
    local powerless=()
    # Root minds file modes when its capabilities are gone.
    [ "$(id -u)" != 0 ] || powerless=(setpriv --bounding-set=-all)
    if [ -d "$work/read-only" ]; then chmod -R u+w "$work/read-only" && rm -r "$work/read-only"; fi
    cp -r "$XDG_DATA_HOME" "$work/read-only"
    chmod -R a-w "$work/read-only"
    timeout 60 "${powerless[@]}" env XDG_DATA_HOME="$work/read-only" "$@"
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
