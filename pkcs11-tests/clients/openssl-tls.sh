# TLS with keys of a token: the second part of openssl.sh.

serve() { # serve PROGRAM OPTION…: s_server with mutual TLS on a port that the system chooses, $address
    rm -f "$work/server.log" # else the last server's port is read, when this one is slow to start
    background server.log $1 s_server -accept 127.0.0.1:0 -naccept 1 -rev -CAfile "$work/ca.pem" \
        -Verify 2 -verify_return_error "${@:2}"
    wait_for grep -q '^ACCEPT ' "$work/server.log" || { cp "$work/server.log" "$work/output" && failed "the server listens"; }
    address=$(sed -n 's/^ACCEPT //p' "$work/server.log")
}

say() { # say PROGRAM OPTION…: s_client sends a line and gets it back reversed
    printf 'the key stays in the token\nCLOSE\n' |
        timeout 30 $1 s_client -connect "$address" -ign_eof -CAfile "$work/ca.pem" -verify_return_error \
            -verify_hostname www.example.test "${@:2}" >"$work/client.log" 2>&1
    grep -q 'nekot eht ni syats yek eht' "$work/client.log"
}

talk() { # talk PROGRAM OPTION…: the same, to a server's last connection; prints what both wrote
    local code=0
    say "$@" || code=$?
    # The server ends after one connection, unless the client never came.
    timeout 10 tail --pid="$child" -f /dev/null || kill "$child"
    wait "$child" || true
    cat "$work/client.log" "$work/server.log"
    return $code
}

heard() { # heard KEY: the server has verified the certificate of KEY
    cat "$work/server.log"
    grep -q "Peer certificate: CN *= *$1.example.test" "$work/server.log" && grep -q "Verification: OK" "$work/server.log"
}

turned_away() { # turned_away COMMAND…: fails, and the server says why
    ! "$@" && grep -q "peer did not return a certificate" "$work/server.log"
}

identity() { # identity KEY: the options that name a key of the token and its certificate
    printf -- '-key @%s -cert %s' "$1" "$work/$1.pem"
}

connections() { # connections: TLS 1.2 and 1.3, RSA and EC on both sides
    local version pair server client without="${plain[*]}"
    "${plain[@]}" req -config "$conf" -newkey rsa:2048 -noenc -keyout "$work/outsider.key" -subj /CN=outsider.example.test \
        -out "$work/outsider.csr" 2>/dev/null
    step "x509: a certificate for somebody without a token" "$ssl" x509 -req -in "$work/outsider.csr" -CA "$work/ca.pem" \
        -CAkey @ca -CAcreateserial -days 10 -extfile "$conf" -extensions leaf_extensions -out "$work/outsider.pem"
    local outsider="-key $work/outsider.key -cert $work/outsider.pem"
    for version in -tls1_2 -tls1_3; do
        for pair in rsa:ec ec:rsa ec384:ec521; do
            server=${pair%:*} client=${pair#*:}
            serve "$ssl" $version $(identity $server)
            step "TLS $version: $server serves $client" talk "$ssl" $version $(identity $client)
            step "the server knows the client by its certificate" heard $client
        done
        serve "$ssl" $version $(identity rsa)
        step "TLS $version: rsa serves somebody without a token" talk "$without" $outsider
        serve "$without" $version $outsider
        step "TLS $version: somebody without a token serves ec" talk "$ssl" $(identity ec)
        step "and knows it by its certificate" heard ec
    done
    serve "$ssl" $(identity ec)
    step "TLS: a client without a certificate is turned away" turned_away talk "$without"
    says "TLS: a certificate with another's key is turned away" "does not match the certificate" "$ssl" s_client -key @rsa -cert "$work/ec.pem"
    removed_token
}

removed_token() { # removed_token: the token's files go away under a server, and come back
    local outsider="-key $work/outsider.key -cert $work/outsider.pem" code=0
    serve "$ssl" -naccept 2 $(identity ec)
    step "TLS: a server of two connections, the first" say "${plain[*]}" $outsider
    store_away
    talk "${plain[*]}" $outsider >"$work/output" 2>&1 || true
    wait "$child" || code=$?
    store_back
    step "the token's files are removed before the second: the server does not crash" test "$code" -lt 126
    serve "$ssl" $(identity ec)
    step "the files are back" talk "$ssl" $(identity rsa)
}

key_transport() { # key_transport: the server's RSA key decrypts the client's secret (no engine can, in OpenSSL 3)
    serve "$ssl" -tls1_2 $(identity rsa) -cipher AES256-GCM-SHA384
    step "TLS 1.2 without forward secrecy: the server's key decrypts" \
        talk "$ssl" -cipher AES256-GCM-SHA384 $(identity ec)
    serve "$ssl" -tls1_2 $(identity rsa) -cipher AES256-GCM-SHA384
    step "with somebody without a token too" talk "${plain[*]}" -cipher AES256-GCM-SHA384 -key "$work/outsider.key" -cert "$work/outsider.pem"
}
