# TLS with keys of a token, and what OpenSSL says when something is wrong: the second half of openssl.sh.

serve() { # serve OPTION…: s_server with mutual TLS on a port that the system chooses: $address
    background server.log "$ssl" s_server -accept 127.0.0.1:0 -naccept 1 -rev -CAfile "$work/ca.pem" \
        -Verify 2 -verify_return_error "$@"
    wait_for grep -q '^ACCEPT ' "$work/server.log" || failed "the server listens"
    address=$(sed -n 's/^ACCEPT //p' "$work/server.log")
}

talk() { # talk CLIENT…: sends a line and gets it back reversed, through TLS
    printf 'the key stays in the token\nCLOSE\n' |
        timeout 30 "$@" s_client -connect "$address" -ign_eof -CAfile "$work/ca.pem" -verify_return_error \
            -verify_hostname www.example.test "${client_options[@]}" >"$work/client.log" 2>&1
    cat "$work/client.log" "$work/server.log"
    grep -q 'nekot eht ni syats yek eht' "$work/client.log"
}

served() { # served PATTERN…: the server says so of its one connection, and ends
    wait "$child" || true
    local pattern
    for pattern; do grep -q -- "$pattern" "$work/server.log" || return 1; done
}

tls() { # tls VERSION SERVER-KEY CLIENT-KEY: both have their keys in the token
    local version=$1 server=$2 client=$3
    serve "-$version" -key "@$server" -cert "$work/$server.pem"
    client_options=("-$version" -key "@$client" -cert "$work/$client.pem")
    step "TLS: $version, the server's key is $server, the client's $client" talk "$ssl"
    step "the server has seen the client's certificate" served "CN = $client.example.test" "Verification: OK"
}

connections() { # connections: TLS 1.2 and 1.3, RSA and EC on both sides
    local version
    for version in tls1_2 tls1_3; do
        tls $version rsa ec
        tls $version ec rsa
        tls $version ec384 ec521
    done
    serve -tls1_2 -key @rsa -cert "$work/rsa.pem" -cipher AES256-GCM-SHA384
    client_options=(-key @ec -cert "$work/ec.pem" -cipher AES256-GCM-SHA384)
    step "TLS: 1.2 without forward secrecy: the server's key decrypts" talk "$ssl"
    serve -key @ec -cert "$work/ec.pem"
    client_options=(-key @rsa -cert "$work/rsa.pem")
    step "TLS: the program without a token… " true
}
