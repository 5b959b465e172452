# What OpenSSL's command line does with keys of a token, the same by engine and by provider: read by
# the scripts of both after lib.sh. They set `ssl`, a program that calls openssl and takes @LABEL for
# the private key of that label and +LABEL for the public key, and `make_key`. What is made here is checked by an
# OpenSSL that knows no token: `plain`.
plain=(env OPENSSL_CONF=/dev/null openssl)
tool=(pkcs11-tool --module "$module")
user=("${tool[@]}" --login --pin "$pin")
conf=$clients/openssl.cnf
declare -A curve=([ec]=P-256 [ec384]=P-384 [ec521]=P-521)
export CA_DIR=$work

keys() { # keys: RSA and EC pairs of all uses by the script's own `make_key LABEL TYPE ID`, and files to work on
    local key label id=10
    for key in ca:rsa:2048 rsa:rsa:2048 ec:EC:P-256 ec384:EC:P-384 ec521:EC:P-521; do
        label=${key%%:*}
        step "make the key $label, ${key#*:}" make_key "$label" "${key#*:}" $((id++))
    done
    head -c 20000 /dev/urandom | base64 >"$work/text"
    openssl dgst -sha256 -binary "$work/text" >"$work/text.sha256"
    openssl dgst -sha256 -binary "$0" >"$work/other.sha256"
}

requests() { # requests: a self-signed CA, and certificates of token keys signed by it
    local label
    step "req: a CA certificate for the key ca" "$ssl" req -config "$conf" -new -x509 -key @ca -sha256 -days 30 \
        -subj "/O=Strongroom/CN=Test CA" -extensions ca_extensions -out "$work/ca.pem"
    step "the CA certificate verifies" "${plain[@]}" verify -check_ss_sig -CAfile "$work/ca.pem" "$work/ca.pem"
    for label in rsa ec ec384 ec521; do
        step "req: a request signed by $label" "$ssl" req -config "$conf" -new -key @$label -sha384 \
            -subj "/CN=$label.example.test" -out "$work/$label.csr"
        step "the request's signature verifies" "${plain[@]}" req -config "$conf" -in "$work/$label.csr" -verify -noout
        step "x509: the CA signs it" "$ssl" x509 -req -in "$work/$label.csr" -CA "$work/ca.pem" -CAkey @ca \
            -CAcreateserial -sha256 -days 10 -extfile "$conf" -extensions leaf_extensions -out "$work/$label.pem"
        step "the chain verifies" "${plain[@]}" verify -x509_strict -CAfile "$work/ca.pem" "$work/$label.pem"
        "${plain[@]}" x509 -in "$work/$label.pem" -pubkey -noout >"$work/$label.pub"
    done
    step "req: RSA-PSS" "$ssl" req -config "$conf" -new -key @rsa -sha256 -sigopt rsa_padding_mode:pss \
        -sigopt rsa_pss_saltlen:digest -subj /CN=pss -out "$work/pss.csr"
    step "its signature verifies" "${plain[@]}" req -config "$conf" -in "$work/pss.csr" -verify -noout
}

authority() { # authority KEY: `openssl ca` with its database; LABEL.csr of `requests` are what comes in
    local key=$1 certificate ca
    export CA_DIR=$work/authority-$key
    mkdir -p "$CA_DIR/new"
    : >"$CA_DIR/index.txt"
    echo 1000 >"$CA_DIR/serial"
    echo 01 >"$CA_DIR/crlnumber"
    step "ca: a certificate for the CA itself, key $key" "$ssl" req -config "$conf" -new -x509 -key "@$key" -days 30 \
        -subj "/CN=CA with $key" -extensions ca_extensions -out "$CA_DIR/ca.pem"
    ca=("$ssl" ca -config "$conf" -batch -keyfile "@$key")
    for certificate in rsa ec ec384; do
        step "ca: issue for $certificate" "${ca[@]}" -in "$work/$certificate.csr" -out "$CA_DIR/$certificate.pem"
    done
    refused "ca: the same name again is refused" "${ca[@]}" -in "$work/ec.csr" -out "$CA_DIR/again.pem"
    step "ca: serial numbers go up" grep -q 1003 "$CA_DIR/serial"
    step "ca: revoke" "${ca[@]}" -revoke "$CA_DIR/ec.pem" -crl_reason keyCompromise
    step "ca: a CRL signed by the token" "${ca[@]}" -gencrl -out "$CA_DIR/crl.pem"
    step "the CRL's signature verifies" "${plain[@]}" crl -in "$CA_DIR/crl.pem" -CAfile "$CA_DIR/ca.pem" -noout
    step "the good certificate verifies" "${plain[@]}" verify -crl_check -CAfile "$CA_DIR/ca.pem" \
        -CRLfile "$CA_DIR/crl.pem" "$CA_DIR/rsa.pem"
    says "the revoked one is seen as revoked" "certificate revoked" "${plain[@]}" verify -crl_check \
        -CAfile "$CA_DIR/ca.pem" -CRLfile "$CA_DIR/crl.pem" "$CA_DIR/ec.pem"
}

digests() { # digests: dgst with both kinds of key, checked outside and by the token's public key
    local label hash pss=(-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32)
    for label in rsa ec ec384 ec521; do
        for hash in sha256 sha512; do
            step "dgst: $label signs with $hash" "$ssl" dgst -$hash -sign @$label -out "$work/sig" "$work/text"
            step "the signature verifies" "${plain[@]}" dgst -$hash -verify "$work/$label.pub" -signature "$work/sig" "$work/text"
        done
        step "dgst: the token's public key verifies it" "$ssl" dgst -sha512 -verify +$label -signature "$work/sig" "$work/text"
        refused "dgst: and refuses another file" "$ssl" dgst -sha512 -verify +$label -signature "$work/sig" "$0"
    done
    step "dgst: RSA-PSS" "$ssl" dgst -sha256 -sign @rsa "${pss[@]}" -out "$work/sig" "$work/text"
    step "it verifies" "${plain[@]}" dgst -sha256 -verify "$work/rsa.pub" "${pss[@]}" -signature "$work/sig" "$work/text"
}

messages() { # messages: CMS signed by the token, and sealed to its keys by somebody else
    local label recipient key
    for label in rsa ec ec384; do
        step "cms: $label signs" "$ssl" cms -sign -in "$work/text" -signer "$work/$label.pem" -inkey @$label \
            -md sha256 -out "$work/signed.eml"
        step "the message verifies" "${plain[@]}" cms -verify -in "$work/signed.eml" -CAfile "$work/ca.pem" -out /dev/null
    done
    step "cms: RSA-PSS" "$ssl" cms -sign -in "$work/text" -binary -signer "$work/rsa.pem" -inkey @rsa -md sha256 \
        -keyopt rsa_padding_mode:pss -outform PEM -out "$work/signed.pem"
    step "it verifies" "${plain[@]}" cms -verify -in "$work/signed.pem" -inform PEM -binary -content "$work/text" \
        -CAfile "$work/ca.pem" -out /dev/null
    refused "another content does not" "${plain[@]}" cms -verify -in "$work/signed.pem" -inform PEM -binary \
        -content "$0" -CAfile "$work/ca.pem" -out /dev/null
    for recipient in rsa rsa:rsa_padding_mode:oaep ec ec384 ec521; do
        key=${recipient%%:*}
        step "somebody seals a message to $recipient" "${plain[@]}" cms -encrypt -aes-256-gcm -binary -in "$work/text" \
            -outform DER -out "$work/sealed" -recip "$work/$key.pem" $([ "$key" = "$recipient" ] || echo "-keyopt ${recipient#*:}")
        step "cms: $key opens it" "$ssl" cms -decrypt -binary -inform DER -in "$work/sealed" -recip "$work/$key.pem" \
            -inkey "@$key" -out "$work/opened"
        step "it is the same" cmp "$work/text" "$work/opened"
    done
}

operations() { # operations: pkeyutl sign, verify, decrypt, derive
    local options padding label
    for options in "rsa digest:sha256" "rsa digest:sha256 rsa_padding_mode:pss rsa_pss_saltlen:32" "ec digest:sha256"; do
        label=${options%% *} options=$(printf -- ' -pkeyopt %s' ${options#* })
        step "pkeyutl: $label signs,$options" "$ssl" pkeyutl -sign -inkey @$label $options -in "$work/text.sha256" -out "$work/sig"
        step "it verifies" "${plain[@]}" pkeyutl -verify -pubin -inkey "$work/$label.pub" $options -in "$work/text.sha256" -sigfile "$work/sig"
        step "pkeyutl: the token's public key verifies" "$ssl" pkeyutl -verify -pubin -inkey +$label $options \
            -in "$work/text.sha256" -sigfile "$work/sig"
        refused "pkeyutl: and refuses another hash" "$ssl" pkeyutl -verify -pubin -inkey +$label $options \
            -in "$work/other.sha256" -sigfile "$work/sig"
    done
    # Both hashes of OAEP are named: pkcs11-provider 1.0 knows no default.
    for padding in pkcs1 oaep:sha1 oaep:sha256; do
        options="-pkeyopt rsa_padding_mode:${padding%:*}"
        [ $padding = pkcs1 ] || options+=" -pkeyopt rsa_oaep_md:${padding#*:} -pkeyopt rsa_mgf1_md:${padding#*:}"
        step "somebody encrypts, $options" "${plain[@]}" pkeyutl -encrypt -pubin -inkey "$work/rsa.pub" $options \
            -in "$work/text.sha256" -out "$work/sealed"
        step "pkeyutl: rsa decrypts" "$ssl" pkeyutl -decrypt -inkey @rsa $options -in "$work/sealed" -out "$work/opened"
        step "it is the same" cmp "$work/text.sha256" "$work/opened"
    done
    for label in ec ec384 ec521; do
        "${plain[@]}" genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:${curve[$label]}" -out "$work/peer.key"
        "${plain[@]}" pkey -in "$work/peer.key" -pubout -out "$work/peer.pub"
        step "pkeyutl: $label derives" "$ssl" pkeyutl -derive -inkey @$label -peerkey "$work/peer.pub" -out "$work/shared"
        step "the peer derives" "${plain[@]}" pkeyutl -derive -inkey "$work/peer.key" -peerkey "$work/$label.pub" -out "$work/shared.peer"
        step "both have the same secret" cmp "$work/shared" "$work/shared.peer"
    done
}

page() { # page SECTION…: the page of examples/openssl, its commands run as they stand there
    local section
    mkdir -p "$work/page"
    export EXAMPLE=$root/examples/openssl
    for section; do
        awk -v section="## $section" '/^## /{on = ($0 == section)} /^```/{code = on && $0 == "```sh"; next} code' \
            "$EXAMPLE/README.md"
    done >"$work/page/commands"
    step "the page has commands for: $*" grep -q openssl "$work/page/commands"
    step "the commands of examples/openssl/README.md: $*" env XDG_DATA_HOME="$work/page/data" bash -euxc 'cd "$1"; . ./commands' - "$work/page"
}
