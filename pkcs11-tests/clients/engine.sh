# For clients that reach the token through OpenSSL's pkcs11 engine: sourced after lib.sh, and after `token`.
# A CA, `ca.pem` in $work, whose key is in the token, and keys that it certifies.
needs libengine-pkcs11-openssl openssl opensc
token_name=
uri() { # uri LABEL [PIN]: the private key; with a PIN it is all that a program needs
    echo "pkcs11:token=$token_name;object=$1;type=private${2:+;pin-value=$2}"
}

engine() { # engine TOKEN: OpenSSL's configuration, which nginx, Apache, curl and stunnel read too
    token_name=$1
    export OPENSSL_CONF=$work/openssl.cnf
    cat >"$OPENSSL_CONF" <<CONF
openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = $module
init = 1
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:false
subjectAltName = DNS:localhost, IP:127.0.0.1
extendedKeyUsage = serverAuth
[client]
basicConstraints = CA:false
extendedKeyUsage = clientAuth
CONF
}

key() { # key LABEL TYPE: a pair of keys in the token; TYPE as pkcs11-tool names it
    pkcs11-tool --module "$module" --login --pin "$pin" --keypairgen --key-type "$2" --label "$1" \
        --id "$(hex "$1")"
}

authority() { # authority LABEL TYPE: the CA's key, and ca.pem
    step "a CA: $2 key in the token" key "$1" "$2"
    step "its certificate" openssl req -new -x509 -engine pkcs11 -keyform engine -key "$(uri "$1" "$pin")" \
        -subj "/CN=Test CA" -extensions ca -days 30 -out "$work/ca.pem"
    authority=$1
}

certified() { # certified LABEL TYPE server|client: a key of the token and LABEL.pem from the CA
    step "$1: $2 key in the token" key "$1" "$2"
    step "$1: a request" openssl req -new -engine pkcs11 -keyform engine -key "$(uri "$1" "$pin")" \
        -subj "/CN=$1" -out "$work/$1.csr"
    step "$1: certified by the CA's key in the token" openssl x509 -req -in "$work/$1.csr" -engine pkcs11 \
        -CA "$work/ca.pem" -CAkey "$(uri "$authority" "$pin")" -CAkeyform engine -days 30 \
        -extfile "$OPENSSL_CONF" -extensions "$3" -out "$work/$1.pem"
}
