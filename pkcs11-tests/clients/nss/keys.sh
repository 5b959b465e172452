# Keys, requests and certificates. Sourced by run.

certificate() { # certificate NAME SUBJECT OPTION…: a key and a request in the token, a certificate from the CA back into it
    local label=$1 subject=$2
    shift 2
    step "$label: key and request" "${certutil[@]}" -R -h "nss token" -Z SHA256 -s "$subject" -z noise -a -o "$label.csr" "$@"
    says "$label: OpenSSL finds the request right" "verify OK" openssl req -in "$label.csr" -noout -verify
    step "$label: the CA signs it" openssl x509 -req -in "$label.csr" -CA ca.pem -CAkey ca.key -CAcreateserial \
        -days 10 -extfile "${extensions:-extensions}" -out "$label.pem"
    step "$label: certificate into the token" "${certutil[@]}" -A -h "nss token" -n "$label" -t ,, -i "$label.pem"
}

keys() {
    openssl req -new -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj "/CN=Test CA" -days 30 -out ca.pem 2>output
    printf 'subjectAltName=DNS:localhost,email:alice@example.org\n' >extensions
    printf 'keyUsage=digitalSignature\nextendedKeyUsage=codeSigning\n' >code-extensions
    step "the CA is trusted" "${certutil[@]}" -A -n "Test CA" -t CT,C,C -i ca.pem
    certificate rsa CN=localhost,O=RSA -k rsa -g 2048
    certificate ec CN=localhost,O=EC -k ec -q nistp256
    certificate ec384 CN=localhost,O=EC384 -k ec -q secp384r1
    certificate spare CN=spare -k rsa -g 2048

    says "certutil lists the keys" "rsa +[0-9a-f]{40} +nss token:rsa" "${certutil[@]}" -K -h "nss token"
    says "all of them" "ec +[0-9a-f]{40} +nss token:ec384" "${certutil[@]}" -K -h "nss token"
    says "certificates are listed without a PIN" "nss token:ec " certutil -d "$db" -L -h "nss token"
    says "with a PIN NSS knows that the keys are ours" "nss token:rsa +u,u,u" "${certutil[@]}" -L -h "nss token"
    for label in rsa ec ec384; do
        says "$label: valid for a TLS client" "is valid" "${certutil[@]}" -V -n "nss token:$label" -u C -e
        says "$label: valid for a TLS server" "is valid" "${certutil[@]}" -V -n "nss token:$label" -u V -e
    done
    step "a certificate is read back" bash -c "certutil -d $db -L -n 'nss token:ec' -a | openssl x509 -outform DER >back.der"
    step "it is the one the CA made" cmp back.der <(openssl x509 -in ec.pem -outform DER)

    # NSS does not log in to delete a certificate from a token whose certificates it could read without a PIN.
    says "certutil -D does not log in, and is refused" "unable to delete certificate" "${certutil[@]}" -D -n "nss token:spare"
    says "the certificate is still there" "nss token:spare" certutil -d "$db" -L -h "nss token"
    step "certutil -F deletes key and certificate" "${certutil[@]}" -F -n "nss token:spare"
    step "both are gone" bash -c "! certutil -d $db -f pins -L -h 'nss token' | grep spare &&
        ! certutil -d $db -f pins -K -h 'nss token' | grep spare"

    printf 'nss token:%s\n' newpin99 >new-pins
    printf '%s\n' "$pin" >pin
    echo newpin99 >new-pin
    step "modutil changes the PIN" modutil -force -dbdir "$db" -changepw "nss token" -pwfile pin -newpwfile new-pin
    says "the new PIN opens the keys" "nss token:rsa" certutil -d "$db" -f new-pins -K -h "nss token"
    step "and back again" modutil -force -dbdir "$db" -changepw "nss token" -pwfile new-pin -newpwfile pin
    step "a crypto user is made" env STRONGROOM_OFFICER_PASSWORD="$so_pin" STRONGROOM_PASSWORD=alices-own \
        "$strongroom" user create alice --role cu
    echo "nss token:alice:alices-own" >alices-pins
    says "who logs in by name sees no key of another user" "no keys found" certutil -d "$db" -f alices-pins -K -h "nss token"
}
