# CMS messages, signed JAR files, PKCS#12. Sourced by run.

files() {
    for label in rsa ec; do
        step "$label: cmsutil signs" cmsutil -S -d "$db" -f pins -N "nss token:$label" -G -i text -o "$label.p7"
        says "$label: cmsutil verifies" "signer0.status=GoodSignature" cmsutil -D -d "$db" -f pins -i "$label.p7" -u 4 -h 2
        step "$label: OpenSSL verifies" openssl cms -verify -inform DER -in "$label.p7" -CAfile ca.pem -out back
        step "$label: the text is the same" cmp text back
    done
    sed 's/the text/tha text/' rsa.p7 >altered.p7
    says "an altered message is noticed" "DigestMismatch" cmsutil -D -d "$db" -f pins -i altered.p7 -u 4
    # To EC certificates this version of NSS encrypts nothing, whatever token has the key.
    step "cmsutil encrypts to the token's key" cmsutil -E -d "$db" -r "nss token:rsa" -i text -o envelope
    step "cmsutil decrypts" cmsutil -D -d "$db" -f pins -i envelope -o back
    step "the text is the same" cmp text back
    step "OpenSSL encrypts to it" openssl cms -encrypt -binary -aes256 -outform DER -in text -out envelope2 rsa.pem
    step "cmsutil decrypts that" cmsutil -D -d "$db" -f pins -i envelope2 -o back
    step "the text is the same" cmp text back
    refused "without the PIN nothing is decrypted" cmsutil -D -d "$db" -f wrong-pins -i envelope -o back

    extensions=code-extensions certificate signer CN=signer -k rsa -g 2048
    step "the CA is trusted for code" "${certutil[@]}" -M -n "Test CA" -t CT,C,C
    mkdir -p tree && cp text tree/
    step "signtool signs a JAR" signtool -d "$db" -p "$pin" -k "nss token:signer" -Z signed.jar tree
    says "signtool verifies it" "archive \"signed.jar\" has passed crypto verification" signtool -d "$db" -v signed.jar
    step "the signature block is there" unzip -l signed.jar META-INF/zigbert.rsa

    refused "pk12util cannot export a key that is not extractable" pk12util -o key.p12 -n "nss token:rsa" -d "$db" -h "nss token" -k pin -W secret
    says "and says so" "key or cert safe creation failed|Private Key could not be located and exported" pk12util -o key.p12 -n "nss token:rsa" -d "$db" -h "nss token" -k pin -W secret
    step "no file is left" test ! -s key.p12
    imported rsa rsa:2048
    imported ec ec -pkeyopt ec_paramgen_curve:P-256
}

imported() { # imported NAME KIND OPTION…: a key made outside comes in as PKCS#12, and signs
    step "OpenSSL makes a key ($1)" openssl req -new -x509 -newkey "${@:2}" -nodes \
        -keyout in.key -subj "/CN=Imported $1" -CA ca.pem -CAkey ca.key -days 10 -out in.pem
    step "and a PKCS#12 file" openssl pkcs12 -export -inkey in.key -in in.pem -name "imported $1" -passout pass:secret -out in.p12
    step "pk12util imports it" pk12util -i in.p12 -d "$db" -h "nss token" -k pin -W secret
    step "cmsutil signs with it" cmsutil -S -d "$db" -f pins -N "nss token:imported $1" -G -i text -o in.p7
    step "OpenSSL verifies" openssl cms -verify -inform DER -in in.p7 -CAfile ca.pem -purpose any -out back
}
