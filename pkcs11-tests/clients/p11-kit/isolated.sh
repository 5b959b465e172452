# Part of `run`: the keeper's token, used by the application through a socket.

socket=$work/run/pkcs11
export P11_KIT_SERVER_ADDRESS=unix:path=$socket
tool=(pkcs11-tool --module "$remote")
user=("${tool[@]}" --login --pin "$pin")

answers() { "${app[@]}" "${tool[@]}" --list-slots | grep 'token label' >/dev/null; }
serve() { # serve [FOLDER]: the server, as the README starts it, over the data in FOLDER; its pid in $server
    rm -f "$socket" # of the one before, which was killed
    background server.log "${keeper[@]}" env XDG_DATA_HOME="${1:-$work/keeper/data}" p11-kit server --foreground --name "$socket" --provider "$module" \
        --user "$app_user" pkcs11:token=isolated
    server=$child
    wait_for test -S "$socket" || failed "p11-kit server"
    [ "$(id -u)" != 0 ] || chown "$app_user" "$socket"
    wait_for ${answer:-answers} || failed "p11-kit server answers"
}
ended() { ! kill -0 "$1"; }

token isolated "${keeper[@]}"
serve
says "the application sees the token through the socket" 'token label *: isolated' "${app[@]}" "${tool[@]}" --list-slots
says "and has none of its own" 'uninitialized' "${app[@]}" pkcs11-tool --module "$module" --list-slots
if [ "$(id -u)" = 0 ]; then
    says "it cannot read the keeper's files" 'Permission denied' "${app[@]}" ls "$work/keeper/data"
    person / games
    says "a third user does not get in" 'No slots' "${person[@]}" "${tool[@]}" --list-slots
fi

# p11-kit 0.24 carries these mechanisms; newer ones more. The README says which.
step "generates RSA" "${app[@]}" "${user[@]}" --keypairgen --key-type rsa:2048 --label rsa --id 01
step "generates EC" "${app[@]}" "${user[@]}" --keypairgen --key-type EC:secp256r1 --label ec --id 02
step "generates AES" "${app[@]}" "${user[@]}" --keygen --key-type AES:32 --label aes --id 03
step "generates a secret" "${app[@]}" "${user[@]}" --keygen --key-type GENERIC:32 --label mac --id 04
head -c 64 /dev/urandom | "${app[@]}" tee "$work/app/block" >/dev/null
head -c 100000 /dev/urandom | "${app[@]}" tee "$work/app/data" >/dev/null
step "signs with RSA" "${app[@]}" "${user[@]}" --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file data.sig
step "reads the public key" "${app[@]}" p11tool --batch --provider "$remote" --export --outfile rsa.pem \
    "pkcs11:token=isolated;object=rsa;type=public"
step "OpenSSL verifies" "${app[@]}" openssl dgst -sha256 -verify rsa.pem -signature data.sig data
step "OpenSSL encrypts to it" "${app[@]}" openssl pkeyutl -encrypt -pubin -inkey rsa.pem -in block -out block.oaep \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
step "decrypts" "${app[@]}" "${user[@]}" --decrypt --id 01 -m RSA-PKCS-OAEP --hash-algorithm SHA256 \
    --input-file block.oaep --output-file block.back
step "the same text" "${app[@]}" cmp block block.back
step "encrypts with AES" "${app[@]}" "${user[@]}" --encrypt --id 03 -m AES-ECB --input-file block --output-file block.aes
step "decrypts with AES" "${app[@]}" "${user[@]}" --decrypt --id 03 -m AES-ECB --input-file block.aes --output-file block.again
step "the same block" "${app[@]}" cmp block block.again
step "HMAC" "${app[@]}" "${user[@]}" --sign --id 04 -m SHA256-HMAC --input-file data --output-file data.mac
says "a sensitive key stays where it is" CKR_ATTRIBUTE_SENSITIVE "${app[@]}" "${user[@]}" --list-objects --type secrkey

together() {
    local clients=() number
    for number in 1 2 3 4; do
        "${app[@]}" "${user[@]}" --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file "together-$number" &
        clients+=($!)
    done
    for number in "${clients[@]}"; do wait "$number" || return; done
    for number in 1 2 3 4; do "${app[@]}" cmp data.sig "together-$number" || return; done
}
step "four applications sign at once" together

# A TLS server that never had its key.
export GNUTLS_PIN=$pin
printf '%s\n' 'cn = localhost' 'dns_name = localhost' tls_www_server signing_key 'expiration_days = 9' |
    "${app[@]}" tee "$work/app/template" >/dev/null
key="pkcs11:token=isolated;object=ec;type=private"
step "certtool signs a certificate through the socket" "${app[@]}" certtool --provider "$remote" --generate-self-signed \
    --load-privkey "$key" --template template --outfile tls.pem
port=$(free_port)
background tls.log "${app[@]}" gnutls-serv --provider "$remote" --quiet --echo --port "$port" --x509keyfile "$key" --x509certfile tls.pem
wait_for grep -q "port $port...done" "$work/tls.log" || failed "gnutls-serv"
echo "hello over tls" | "${app[@]}" tee "$work/app/hello" >/dev/null
says "a TLS server whose key is in the keeper's process" '^hello over tls$' "${app[@]}" \
    bash -c "gnutls-cli --x509cafile tls.pem --port $port localhost <hello"
kill "$child"

says "a wrong PIN" CKR_PIN_INCORRECT "${app[@]}" "${tool[@]}" --login --pin 99999999 --list-objects
XDG_DATA_HOME=$work/keeper/data removed "$server" "${app[@]}" "${user[@]}" --list-objects
step "the files are back, and the keys" "${app[@]}" "${user[@]}" --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file again

# --- the keeper goes away while a client signs
"${app[@]}" mkfifo "$work/app/endless"
# As servers do: p11-kit writes to a closed socket, and SIGPIPE would end a program that does not ignore it.
background signing.log env --ignore-signal=PIPE "${app[@]}" "${user[@]}" --sign --id 01 -m SHA256-RSA-PKCS \
    --input-file endless --output-file never
signing=$child
exec 7>"$work/app/endless"
# More than a pipe holds: when it is written, the signature is well under way.
timeout 30 head -c 1000000 /dev/zero >&7 || failed "the client reads"
serving=$(pgrep -P "$server") || failed "no process serves the client"
kill "$server" && kill -9 $serving && wait_for ended "$server" || failed "the server ends"
exec 7>&-
wait_for ended "$signing" || failed "the client hangs after its server was killed"
says "a client whose server was killed gets an error at once" 'C_Sign(Update|Final)? failed: rv = CKR_DEVICE_(ERROR|REMOVED)' cat "$work/signing.log"
says "without a server there are no slots, and no hang" 'No slots' "${app[@]}" "${tool[@]}" --list-slots
serve
says "with it back, the keys are there" 'label: *rsa' "${app[@]}" "${user[@]}" --list-objects --type privkey
stop "$server"

# --- the keeper's store cannot be written; the keeper has no token
over_read_only() {
    serve "$XDG_DATA_HOME" && "${app[@]}" "${user[@]}" --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file by-reader
}
owner=("${keeper[@]}")
XDG_DATA_HOME=$work/keeper/data step "over a read-only store the server signs" read_only over_read_only
step "the same signature" "${app[@]}" cmp data.sig by-reader
fails "and takes no new key" CKR_TOKEN_WRITE_PROTECTED "${app[@]}" "${user[@]}" --keygen --key-type AES:32 --label no
stop "$server"
"${keeper[@]}" mkdir "$work/keeper/nothing"
answer="test -S $socket" serve "$work/keeper/nothing"
says "a keeper without a token has no slots to offer" 'No slots' "${app[@]}" "${tool[@]}" --list-slots
refused "and no keys" "${app[@]}" "${user[@]}" --list-objects
stop "$server"

# --- the same by systemd: a process for each connection
units=$root/examples/isolated
step "systemd accepts the socket" systemd-analyze verify "$units/strongroom-isolated.socket"
step "and its service" systemd-analyze verify "$units/strongroom-isolated@.service"
# What its service runs, with this module instead of the installed one.
command=$(sed -n 's/^ExecStart=//p' "$units/strongroom-isolated@.service" | sed "s|/usr/lib/strongroom/libstrongroom.so|$module|")
background activate.log "${keeper[@]}" systemd-socket-activate --accept --inetd --listen "$socket-systemd" \
    -E XDG_DATA_HOME="$work/keeper/data" $command
wait_for test -S "$socket-systemd" || failed "systemd-socket-activate"
[ "$(id -u)" != 0 ] || chown "$app_user" "$socket-systemd"
export P11_KIT_SERVER_ADDRESS=unix:path=$socket-systemd
step "signs through systemd's socket" "${app[@]}" "${user[@]}" --sign --id 01 -m SHA256-RSA-PKCS --input-file data --output-file by-systemd
step "the same signature" "${app[@]}" cmp data.sig by-systemd
for try in 1 2 3 4 5; do
    says "a wrong PIN ($try)" CKR_PIN_INCORRECT "${app[@]}" "${tool[@]}" --login --pin 99999999 --list-objects
done
says "then the user is locked, for every client" CKR_PIN_LOCKED "${app[@]}" "${user[@]}" --list-objects
