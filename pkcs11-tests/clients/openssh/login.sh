# Logins to a sshd of our own. One host key is a file, with a certificate by the CA in the token; the other is in the token.
for label in rsa p256 p384 p521 careful; do cat "$work/keys/$label.pub"; done >"$work/authorized_keys"
cat "$work/keys/ca.pub" "$work/keys/rsa-ca.pub" >"$work/cas"
step "a host key" ssh-keygen -q -t ecdsa -b 384 -N '' -f "$work/host"
pin_is "$pin"
step "the CA in the token signs the host's certificate" \
    ssh-keygen -s "$work/keys/ca.pub" -D "$module" -h -I host -n 127.0.0.1 -V +1d "$work/host.pub"
step "an empty list of revoked keys" ssh-keygen -q -k -f "$work/revoked"
echo "@cert-authority [127.0.0.1]:$port $(cat "$work/keys/ca.pub")" >"$work/known_hosts"
for file in sshd_config ssh_config; do sed "s,@work@,$work,g; s,@port@,$port,g" "$here/$file" >"$work/$file"; done
# As root, sshd wants this folder; Debian makes it when it starts the system's own.
[ "$(id -u)" != 0 ] || mkdir -p -m 0755 /run/sshd
background sshd.log "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f "$work/sshd_config"
wait_for_port "$port" || failed "sshd starts"

logs_in() { # logs_in TEXT OPTION…: the command runs there, and what it prints is its own
    local text=$1
    shift
    echo "$RANDOM$RANDOM" >"$work/word"
    says "$text" "^came in with $(cat "$work/word")\$" "${login[@]}" "$@" token "echo came in with \$(cat '$work/word')"
}
no_login() { # no_login TEXT PATTERN OPTION…: refused in these words
    local text=$1 pattern=$2
    shift 2
    fails "$text" "$pattern" "${login[@]}" "$@" token true
}

for label in rsa p256 p384 p521; do
    logs_in "login with $label from the agent" -i "$work/keys/$label.pub"
    pin_is "$pin"
    logs_in "login with $label by PKCS11Provider" "${direct[@]}" -i "$work/keys/$label.pub"
    step "its PIN was asked for once" test "$(asked)" = 1
done
step "sshd saw each key" test "$(grep -cE 'Accepted publickey for' "$work/sshd.log")" = 8
no_login "a key of the token that is not authorised is refused" "Permission denied" -i "$work/keys/hostkey.pub"

# CKA_ALWAYS_AUTHENTICATE: OpenSSH takes its first login for the key's own, the token does not (nor does SoftHSM), and
# the agent cannot ask. Plain words and no loop is all that such a key gets.
pin_is "$pin"
no_login "a key that wants the PIN for each signature is refused" "signing failed for ECDSA \"careful\"" \
    "${direct[@]}" -i "$work/keys/careful.pub"
step "its PIN was asked for once, too" test "$(asked)" = 1
sed -i '/ careful$/d' "$work/authorized_keys"

echo "[127.0.0.1]:$port $(cat "$work/keys/hostkey.pub")" >"$work/pinned_host"
logs_in "the host proves itself with a key in the token" -o UserKnownHostsFile="$work/pinned_host" \
    -o HostKeyAlgorithms=ecdsa-sha2-nistp256 -i "$work/keys/rsa.pub"

# Half of them with RSA, half with P-256.
at_once() { # at_once TEXT COUNT OPTION…: as many logins at the same time
    local text=$1 count=$2 each label pids=()
    shift 2
    for ((each = 0; each < count; each++)); do
        [ $((each % 2)) = 0 ] && label=rsa || label=p256
        "${login[@]}" "$@" -i "$work/keys/$label.pub" token "echo came in" >"$work/at_once.$each" 2>&1 </dev/null &
        pids+=($!)
    done
    wait "${pids[@]}" || true
    cat "$work"/at_once.* >"$work/output"
    rm "$work"/at_once.*
    [ "$(grep -c '^came in$' "$work/output")" = "$count" ] && passed "$text" || failed "$text"
}
at_once "20 logins at once through one agent" 20
pin_is "$pin"
at_once "8 logins at once, each loading the module" 8 "${direct[@]}"
