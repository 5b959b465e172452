# The token's keys, and what ssh-keygen -D makes of them.
token "ssh"
make_key() { # make_key TYPE LABEL ID [OPTION…]
    step "make $2 ($1)" "${user[@]}" --keypairgen --key-type "$1" --label "$2" --id "$3" --usage-sign "${@:4}"
}
make_key rsa:2048 rsa 01
make_key EC:secp256r1 p256 02
make_key EC:secp384r1 p384 03
make_key EC:secp521r1 p521 04
make_key EC:edwards25519 ed25519 05
make_key EC:secp256r1 ca 06
make_key rsa:3072 rsa-ca 07
make_key EC:secp256r1 hostkey 08
make_key EC:secp256r1 careful 09 --always-auth

mkdir "$work/keys"
pin_is "$pin"
step "ssh-keygen lists the keys" ssh-keygen -D "$module"
cp "$work/output" "$work/list"
step "without asking for a PIN" test "$(asked)" = 0
# Each line ends with the label; kept as LABEL.pub, which is how ssh is told of a key.
for label in rsa p256 p384 p521 ca rsa-ca hostkey careful; do
    grep " $label\$" "$work/list" >"$work/keys/$label.pub" || failed "$label is in the list"
done
for label in rsa p256 p384 p521; do
    p11tool --batch --provider "$module" --export --outfile "$work/pem" "pkcs11:object=$label;type=public" \
        >"$work/output" 2>&1 || failed "read the public key $label"
    step "$label is listed as the token holds it" \
        test "$(cut -d' ' -f2 "$work/keys/$label.pub")" = "$(ssh-keygen -i -m PKCS8 -f "$work/pem" | cut -d' ' -f2)"
done
says "Ed25519 is passed over by OpenSSH before 10.1" "skipping unsupported key type|^ssh-ed25519 " cat "$work/list"
