# TLS with both sides' keys in the token. Sourced by run.

tls() {
    local port version label who want
    port=$(free_port)
    printf 'GET / HTTP/1.0\r\n\r\n' >request
    # Both keys: the server takes the one that the client can check. -r -r: the client must show a certificate.
    background server.log selfserv -p "$port" -d "$db" -f pins -n "nss token:rsa" -e "nss token:ec" -r -r -v -V tls1.2:
    local server=$child ask=(tstclnt -h localhost -p "$port" -W pins -A request)
    wait_for_port "$port" || failed "selfserv starts"
    for version in tls1.2 tls1.3; do
        for label in rsa ec ec384; do
            : >server.log
            says "$version, client key $label" "200 OK" "${ask[@]}" -d "$db" -n "nss token:$label" -V $version:$version
            want="selfserv: subject DN:.*O=${label^^}"
            step "the server knows the client" wait_for grep -qi "$want" server.log
        done
    done
    for label in RSA:rsa_pss_rsae_sha256 EC:ecdsa_secp256r1_sha256; do
        says "the server signs with ${label%:*}" "subject DN: .*O=${label%:*}$" "${ask[@]}" -d "$db" -n "nss token:rsa" -V tls1.3: -J "${label#*:}" -C
    done
    mkdir -p bare
    step "a database without the module" bash -c "certutil -N -d sql:bare --empty-password && certutil -A -d sql:bare -n CA -t CT,, -i ca.pem"
    says "who shows no certificate is turned away" SSL_ERROR_BAD_CERT_ALERT "${ask[@]}" -d sql:bare -V tls1.2:tls1.2
    step "ten clients at once" ten_clients
    # The client's key is in the same token.
    removed "$server" "${ask[@]}" -d "$db" -n "nss token:rsa" -V tls1.3:
    ends "the files are back: the next request ends" "${ask[@]}" -d "$db" -n "nss token:rsa" -V tls1.3:
    kill "$server"
}

ten_clients() {
    local clients=() client
    for client in {1..10}; do
        timeout 60 tstclnt -h localhost -p "$port" -d "$db" -W pins -A request -n "nss token:rsa" -V tls1.3: >"client$client" 2>&1 &
        clients+=($!)
    done
    wait "${clients[@]}"
    [ "$(grep -l "200 OK" client{1..10} | wc -l)" = 10 ]
}
