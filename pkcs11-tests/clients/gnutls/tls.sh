# Part of `run`: TLS between gnutls-serv and gnutls-cli, keys of the token on both sides.

serve() { # serve KEY [OPTION…]: an echo server on $port
    local key=$1
    shift
    port=$(free_port)
    background "serve-$key.log" gnutls-serv --provider "$module" --quiet --echo --port "$port" \
        --x509keyfile "$(private "$key")" --x509certfile "$(cert "$key")" --x509cafile "$work/ca.pem" \
        --require-client-cert --verify-client-cert "$@"
    wait_for grep -q "port $port...done" "$work/serve-$key.log" || failed "gnutls-serv with $key"
}

connect() { # connect PRIORITY [OPTION…]: says hello and shows what came back
    local priority=$1
    shift
    gnutls-cli --provider "$module" --priority "$priority" --port "$port" "$@" localhost <"$work/hello"
}
export -f connect
export module work port
echo "hello over tls" >"$work/hello"

# A function, for `says` which runs a program.
talk() { says "$1" "$2" env port="$port" bash -c 'connect "$@"' connect "${@:3}"; }
identity() { identity=(--x509keyfile "$(private "$1")" --x509certfile "$(cert "$1")"); }

for key in rsa ecdsa ed25519; do
    serve $key
    for peer in rsa ecdsa ed25519; do
        identity $peer
        talk "TLS 1.3: server $key, client $peer" '^hello over tls$' "NORMAL:-VERS-ALL:+VERS-TLS1.3" \
            --x509cafile "$work/ca.pem" "${identity[@]}"
    done
    talk "TLS 1.2: server $key, client ed25519" '^hello over tls$' "NORMAL:-VERS-ALL:+VERS-TLS1.2" \
        --x509cafile "$work/ca.pem" "${identity[@]}"
    stop "$child"
done

serve rsa --priority "NORMAL:+RSA"
identity ecdsa
talk "TLS 1.2 with RSA key exchange: the token decrypts" 'Description: .TLS1.2-X.509.-.RSA.' \
    "NORMAL:-KX-ALL:+RSA:-VERS-ALL:+VERS-TLS1.2" --x509cafile "$work/ca.pem" "${identity[@]}"
talk "a client without a certificate is not let in" 'Received alert \[116\]: Certificate is required' NORMAL \
    --x509cafile "$work/ca.pem"
says "nor is OpenSSL's" 'alert certificate required' openssl s_client -quiet -verify_return_error \
    -connect "localhost:$port" -CAfile "$work/ca.pem"
GNUTLS_PIN=wrong-one talk "a client with a wrong PIN says so" 'wrong password in the environment' NORMAL \
    --x509cafile "$work/ca.pem" "${identity[@]}"
together() { # eight at once; the server signs for all of them
    local clients=() number
    for number in 1 2 3 4 5 6 7 8; do
        connect NORMAL --x509cafile "$work/ca.pem" "${identity[@]}" >"$work/together-$number" 2>&1 &
        clients+=($!)
    done
    wait "${clients[@]}"
    test "$(cat "$work"/together-* | grep -c '^hello over tls$')" = 8
}
step "eight clients at once" together
hello() { connect NORMAL --x509cafile "$work/ca.pem" "${identity[@]}" <"$work/hello"; }
removed "$child" hello
stop "$child"
