# What goes wrong: plain words, no loop, no more wrong PINs counted than were given.
counted() { # counted COUNT: five wrong PINs lock, so after 4 - COUNT more the token must say that one try is left
    wrong_pins $((4 - $1))
    says "$1 wrong PINs were counted, no more" "final user PIN try" "${tool[@]}" --list-token-slots
}

step "the agent gives the module up" ssh-add -e "$module"
pin_is 00000000
fails "ssh-add with a wrong PIN" "agent refused operation" ssh-add -s "$module"
step "asks once" test "$(asked)" = 1
counted 1
pin_is "$pin"
step "the right PIN ends the count" ssh-add -s "$module"

pin_is 00000000
fails "ssh-keygen -s with a wrong PIN" "PIN incorrect" \
    "${sign[@]}" -s "$work/keys/ca.pub" -D "$module" -I alice -n "$me" "$work/alice.pub"
step "asks once, too" test "$(asked)" = 1
counted 1
unlock

# ssh asks again for each key that the server would take: name the key (-i), or one wrong PIN is sent for each.
echo >"$work/revoke"
step "no key is revoked" ssh-keygen -q -k -f "$work/revoked" "$work/revoke"
pin_is 00000000
no_login "ssh with a wrong PIN" "PIN incorrect" "${direct[@]}" -i "$work/keys/rsa.pub"
step "asks once for the one key" test "$(asked)" = 1
counted 1
unlock
pin_is 00000000
no_login "ssh with a wrong PIN and four keys to try" "Permission denied" "${direct[@]}" -o IdentitiesOnly=no
step "asks once for each key" test "$(asked)" = 4
counted 4
pin_is "$pin"
logs_in "one try was left, and the right PIN is it" "${direct[@]}" -i "$work/keys/rsa.pub"

# While an agent has the module it tries no other PIN.
step "the agent gives the module up again" ssh-add -e "$module"
pin_is 00000000
for try in 1 2 3 4 5; do ssh-add -s "$module" >"$work/output" 2>&1 </dev/null || true; done
no_login "a locked user is told so" "PIN locked" "${direct[@]}" -i "$work/keys/rsa.pub"
pin_is "$pin"
no_login "the right PIN does not end a lock" "PIN locked" "${direct[@]}" -i "$work/keys/rsa.pub"
unlock
logs_in "after it, the user logs in" "${direct[@]}" -i "$work/keys/rsa.pub"

step "the agent takes the module" ssh-add -s "$module"
step "a key is deleted under the agent" "${user[@]}" --delete-object --type privkey --id 04
refused "the agent signs no more with it" ssh-add -T "$work/keys/p521.pub"
logs_in "and goes on with the others" -i "$work/keys/rsa.pub"

no_token "cannot read public key from pkcs11" ssh-keygen -D "$module"

step "over a read-only store ssh-keygen lists the keys" read_only ssh-keygen -D "$module"
sign_by_agent() { ssh-add -T "$work/keys/rsa.pub"; }
removed "$agent" sign_by_agent
ends "the agent gives the module up" ssh-add -e "$module"
step "and takes it again" ssh-add -s "$module"
step "and signs again" sign_by_agent
