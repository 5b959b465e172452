# A certificate authority whose keys are in the token, for keys in files and keys in the token.
step "a user's key in a file" ssh-keygen -q -t ed25519 -N '' -f "$work/alice"
sign=(ssh-keygen -V -5m:+1h)
with=(-o IdentityAgent=none -i "$work/alice" -o CertificateFile="$work/alice-cert.pub")

pin_is "$pin"
step "the CA signs a user's certificate, module loaded by ssh-keygen" \
    "${sign[@]}" -s "$work/keys/ca.pub" -D "$module" -I alice -z 1 -n "$me" "$work/alice.pub"
step "its PIN was asked for once" test "$(asked)" = 1
fingerprint=$(ssh-keygen -lf "$work/keys/ca.pub" | cut -d' ' -f2)
step "the certificate names the CA" sh -c "ssh-keygen -Lf '$work/alice-cert.pub' | grep -qF 'Signing CA: ECDSA $fingerprint'"
no_login "the key alone is refused" "Permission denied" -o IdentityAgent=none -i "$work/alice" -o CertificateFile=none
logs_in "login with the certificate" "${with[@]}"
cp "$work/alice-cert.pub" "$work/first-cert.pub"

step "the CA signs through the agent" "${sign[@]}" -U -s "$work/keys/ca.pub" -I alice -z 2 -n "$me" "$work/alice.pub"
logs_in "login with that certificate" "${with[@]}"
step "an RSA CA signs through the agent" \
    "${sign[@]}" -U -s "$work/keys/rsa-ca.pub" -t rsa-sha2-512 -I alice -z 3 -n "$me" "$work/alice.pub"
says "with SHA-512" "using rsa-sha2-512" ssh-keygen -Lf "$work/alice-cert.pub"
logs_in "login with the RSA CA's certificate" "${with[@]}"

# This key is in no authorized_keys: the certificate alone opens.
step "a certificate for a key of the token" "${sign[@]}" -U -s "$work/keys/ca.pub" -I token -z 4 -n "$me" "$work/keys/hostkey.pub"
logs_in "login with key and CA both in the token" -i "$work/keys/hostkey.pub" -o CertificateFile="$work/keys/hostkey-cert.pub"
rm "$work/keys/hostkey-cert.pub"

step "a certificate for somebody else" "${sign[@]}" -U -s "$work/keys/ca.pub" -I other -z 5 -n nobody-here "$work/alice.pub"
no_login "another's principal is refused" "Permission denied" "${with[@]}"
step "a certificate of last year" ssh-keygen -V 20240101:20240201 -U -s "$work/keys/ca.pub" -I late -z 6 -n "$me" "$work/alice.pub"
no_login "an expired certificate is refused" "Permission denied" "${with[@]}"

echo "serial: 1" >"$work/revoke"
step "serial 1 is revoked" ssh-keygen -q -k -u -f "$work/revoked" -s "$work/keys/ca.pub" "$work/revoke"
says "the list knows it" "REVOKED" ssh-keygen -Qf "$work/revoked" "$work/first-cert.pub"
cp "$work/first-cert.pub" "$work/alice-cert.pub"
no_login "the revoked certificate is refused" "Permission denied" "${with[@]}"
says "sshd says why" "revoked by file" cat "$work/sshd.log"
step "another serial" "${sign[@]}" -U -s "$work/keys/ca.pub" -I alice -z 7 -n "$me" "$work/alice.pub"
logs_in "is still good" "${with[@]}"
step "a key of the token is revoked" ssh-keygen -q -k -u -f "$work/revoked" "$work/keys/p384.pub"
no_login "and refused" "Permission denied" -i "$work/keys/p384.pub"
