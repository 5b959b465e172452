# A newer OpenSSH beside the system's: Ed25519 keys, and the others as before.
new=$newer/bin
export SSH_AUTH_SOCK=$work/newer-agent SSH_PKCS11_HELPER=$work/newer-helper
pin_is "$pin"
step "the newer ssh-keygen lists the keys" "$new/ssh-keygen" -D "$module"
grep '^ssh-ed25519 .* ed25519$' "$work/output" >"$work/keys/ed25519.pub" || failed "Ed25519 is among them"
cat "$work/keys/ed25519.pub" >>"$work/authorized_keys"
background newer-agent.log "$new/ssh-agent" -D -a "$SSH_AUTH_SOCK" -P "$module"
wait_for test -S "$SSH_AUTH_SOCK" || failed "the newer ssh-agent starts"
says "the newer agent takes the module" "Card added" "$new/ssh-add" -s "$module"
for label in ed25519 rsa p384; do
    step "the newer agent signs with $label" "$new/ssh-add" -T "$work/keys/$label.pub"
done
# OpenSSH 9.2 has no objection to a key it could not have loaded itself, if an agent signs.
logs_in "login with Ed25519 from the agent" -i "$work/keys/ed25519.pub"
old=("${login[@]}") login=("$new/ssh" -F "$work/ssh_config")
logs_in "login with Ed25519 by PKCS11Provider" "${direct[@]}" -i "$work/keys/ed25519.pub"
logs_in "login with P-521 by PKCS11Provider" "${direct[@]}" -i "$work/keys/p521.pub"
login=("${old[@]}")
step "an Ed25519 key of the token is certified" \
    "${sign[@]}" -U -s "$work/keys/ca.pub" -I ed25519 -z 8 -n "$me" "$work/keys/ed25519.pub"
sed -i '/ ed25519$/d' "$work/authorized_keys"
logs_in "login with its certificate" -i "$work/keys/ed25519.pub" -o CertificateFile="$work/keys/ed25519-cert.pub"
unset SSH_PKCS11_HELPER
export SSH_AUTH_SOCK=$work/agent
