# For web servers with their keys `rsa-site` and `ec-site` in the token: sourced after engine.sh. Their port, and
# load upon it: every handshake counted. The server writes a line for each request to $access_log.
needs procps apache2-utils
port=$(free_port)
access_log=$work/access.log
handshakes=(env -u OPENSSL_CONF python3 "$clients/handshakes.py" "$port" "$work/ca.pem")
rsa=(--version 1.2 --ciphers ECDHE-RSA-AES128-GCM-SHA256)
ec=(--version 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256)

# Run by root, servers become another user, who needs the token's files: they are given to him.
give_token_to_www_data() {
    chmod 711 "$work"
    chown -R www-data: "$XDG_DATA_HOME"
}

grown() { [ "$(wc -l <"$access_log")" -ge "$1" ]; }
more() { wait_for grown $(($(wc -l <"$access_log") + $1)); } # more N: so many more requests were served

# Nobody in the browser's chair is told more than that the handshake failed: no hang, and well again without a restart.
store_removed() { # store_removed PID: under the server of that process
    removed "$1" "${handshakes[@]}" --count 4
    step "the files are back: it serves" wait_for "${handshakes[@]}" --count 4
}

loads=()
load() { # load NAME OPTION…: handshakes in the background until `unload`
    rm -f "$work/enough"
    background "$1" "${handshakes[@]}" --until "$work/enough" "${@:2}"
    loads+=("$1:$child")
}

ended() { # ended NAME:PID: that load ends; its words
    local code=0
    wait "${1#*:}" || code=$?
    cat "$work/${1%:*}"
    return $code
}

unload() { # unload TEXT: all loads end, and no more failed than each of them allows
    local one
    touch "$work/enough"
    for one in "${loads[@]}"; do
        step "$1: ${one%:*}" ended "$one"
        sed 's/^/    /' "$work/output"
    done
    loads=()
}

load_of_all_kinds() {
    load load-13 --version 1.3 --threads 3
    load load-rsa "${rsa[@]}" --threads 3
    load load-ec "${ec[@]}" --threads 2
}
