# Part of `run`: the module registered in a person's own p11-kit configuration.

token "registered token" "${app[@]}"
"${app[@]}" mkdir -p "$work/app/config/pkcs11/modules"
printf 'module: %s\ntrust-policy: yes\n' "$module" | "${app[@]}" tee "$work/app/config/pkcs11/modules/strongroom.module" >/dev/null
says "p11-kit lists the module" "^strongroom: $module$" "${app[@]}" p11-kit list-modules
says "and its token" 'token: registered token' "${app[@]}" p11-kit list-modules
if p11-kit --help | grep -q list-tokens; then # 0.25 and newer
    says "p11-kit list-tokens" 'registered token' "${app[@]}" p11-kit list-tokens
    says "p11-kit list-objects" 'Strongroom' "${app[@]}" p11-kit list-objects "pkcs11:token=registered%20token"
fi

through_proxy=(pkcs11-tool --module "$proxy" --token-label "registered token" --login --pin "$pin")
echo "signed through the proxy" | "${app[@]}" tee "$work/app/text" >/dev/null
step "p11-kit-proxy: generates" "${app[@]}" "${through_proxy[@]}" --keypairgen --key-type EC:secp256r1 --label key --id 01
step "p11-kit-proxy: signs" "${app[@]}" "${through_proxy[@]}" --sign --id 01 -m ECDSA-SHA256 --signature-format openssl \
    --input-file "$work/app/text" --output-file "$work/app/signature"
says "GnuTLS finds the token without being told of a module" 'Label: registered token' "${app[@]}" p11tool --list-tokens
# Not by pkcs11-tool 0.23: it reads freed memory when it writes an EC public key.
key="pkcs11:token=registered%20token;object=key"
step "reads the public key" "${app[@]}" p11tool --batch --export --outfile key.pem "$key;type=public"
step "OpenSSL verifies" "${app[@]}" openssl dgst -sha256 -verify key.pem -signature signature text
step "GnuTLS signs with the key" "${app[@]}" env GNUTLS_PIN="$pin" p11tool --batch --login --test-sign "$key"
says "a wrong PIN" CKR_PIN_INCORRECT "${app[@]}" pkcs11-tool --module "$proxy" --token-label "registered token" --login --pin 99999999 -O
step "no registration any more" "${app[@]}" rm -r config/pkcs11 data
