# keytool: a CA in the token, keys that it certifies, and a file of keys to move into the token later.

made_inside() { # made_inside ALIAS: its private key was made in the token and cannot leave
    pkcs11-tool --module "$module" --login --pin "$pin" --list-objects --type privkey |
        grep -A9 "ID: *$(printf %s "$1" | od -An -tx1 | tr -d ' \n')" |
        grep -q 'always sensitive, never extractable, local'
}

certified() { # certified ALIAS EXTENSION…: the CA's certificate for a key takes the place of the key's own
    local alias=$1
    shift
    "${keys[@]}" -certreq -alias "$alias" |
        "${keys[@]}" -gencert -alias ca -rfc "$@" -validity 365 | tee "$alias.pem" |
        "${keys[@]}" -importcert -noprompt -alias "$alias"
}

pair() { # pair ALIAS RSA|EC EXTENSION…: a key pair with a certificate of the token's CA
    local alias=$1 algorithm=$2 size=(-groupname secp256r1)
    shift 2
    [ "$algorithm" = EC ] || size=(-keysize 2048)
    step "-genkeypair $algorithm: $alias" "${keys[@]}" -genkeypair -alias "$alias" -keyalg "$algorithm" "${size[@]}" \
        -dname "CN=$alias, O=Example"
    step "the token made it and keeps it: $alias" made_inside "$alias"
    step "-certreq, -gencert by the CA's key, -importcert: $alias" certified "$alias" "$@"
}

step "-genkeypair EC: a CA" "${keys[@]}" -genkeypair -alias ca -keyalg EC -groupname secp384r1 \
    -dname "CN=Example CA, O=Example" -ext bc:c -ext ku:c=keyCertSign,cRLSign -validity 3650
step "-exportcert of the CA" "${keys[@]}" -exportcert -alias ca -rfc -file ca.pem
server=(-ext san=ip:127.0.0.1,dns:localhost -ext eku=serverAuth)
person=(-ext ku:c=digitalSignature -ext eku=clientAuth,codeSigning)
pair web-rsa RSA "${server[@]}" -ext ku:c=digitalSignature
# Java's key manager takes an EC key for a server only when it may agree on keys, which TLS needs no more.
pair web-ec EC "${server[@]}" -ext ku:c=digitalSignature,keyAgreement
pair alice-rsa RSA "${person[@]}"
pair alice-ec EC "${person[@]}"
says "the chain goes up to the CA" "Certificate chain length: 2" "${keys[@]}" -list -v -alias alice-ec
step "OpenSSL finds the certificates good" openssl verify -CAfile ca.pem -purpose sslserver web-rsa.pem web-ec.pem
says "an alias that is taken" "alias <web-rsa> already exists" "${keys[@]}" -genkeypair -alias web-rsa -keyalg EC \
    -groupname secp256r1 -dname CN=again

says "-list shows all five keys" "contains 5 entries" "${keys[@]}" -list
cp output before
for command in "-storepasswd -new 99999999" "-keypasswd -alias web-rsa -new 99999999"; do
    read -ra words <<<"$command"
    refused "${words[0]} fails" "${keys[@]}" "${words[@]}"
    cp output said
    step "${words[0]} says why" grep "commands not supported if -storetype is PKCS11" said
done
step "-list, with the PIN as it was" "${keys[@]}" -list
cp output after
step "nothing changed" cmp before after

# A file with keys to move, whose CA is a stranger to the token; and files of CAs to trust.
step "a CA in a file" keytool "${file[@]}" -keystore file.p12 -genkeypair -alias ca -keyalg EC -groupname secp256r1 \
    -dname "CN=File CA" -ext bc:c
step "an RSA key in a file" keytool "${file[@]}" -keystore file.p12 -genkeypair -alias rsa -keyalg RSA -keysize 2048 \
    -dname CN=rsa -signer ca
step "an EC key in a file" keytool "${file[@]}" -keystore file.p12 -genkeypair -alias ec -keyalg EC \
    -groupname secp256r1 -dname CN=ec -signer ca
step "the file's CA" keytool "${file[@]}" -keystore file.p12 -exportcert -alias ca -rfc -file stranger.pem
step "a file of the CA to trust" keytool "${file[@]}" -keystore trust.p12 -importcert -noprompt -alias ca -file ca.pem
step "a file of strangers" keytool "${file[@]}" -keystore strangers.p12 -importcert -noprompt -alias ca \
    -file stranger.pem
