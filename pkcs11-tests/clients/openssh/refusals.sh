# What goes wrong: plain words, no loop, no more wrong PINs counted than were given.
set_pin() { # the officer gives the user a PIN: a lock ends
    step "the officer sets the PIN" "${tool[@]}" --init-pin --login --login-type so --so-pin "$so_pin" --pin "$pin"
}
counted() { # counted COUNT: five wrong PINs lock, so after 4 - COUNT more the token must say that one try is left
    local try
    for ((try = $1; try < 4; try++)); do
        says "wrong PIN $((try + 1)), by hand" CKR_PIN_INCORRECT "${user[@]::3}" --login --pin 00000000 --list-objects
    done
    says "$1 wrong PINs were counted, no more" "final user PIN try" "${tool[@]}" --list-token-slots
}

step "the agent gives the module up" ssh-add -e "$module"
pin_is 00000000
says "ssh-add with a wrong PIN" "agent refused operation" ssh-add -s "$module"
step "asks once" test "$(asked)" = 1
counted 1
pin_is "$pin"
step "the right PIN ends the count" ssh-add -s "$module"

pin_is 00000000
says "ssh-keygen -s with a wrong PIN" "PIN incorrect" \
    "${sign[@]}" -s "$work/keys/ca.pub" -D "$module" -I alice -n "$me" "$work/alice.pub"
step "asks once, too" test "$(asked)" = 1
counted 1
set_pin

# ssh asks again for each key that the server would take: name the key (-i), or one wrong PIN is sent for each.
echo >"$work/revoke"
step "no key is revoked" ssh-keygen -q -k -f "$work/revoked" "$work/revoke"
pin_is 00000000
no_login "ssh with a wrong PIN" "PIN incorrect" "${direct[@]}" -i "$work/keys/rsa.pub"
step "asks once for the one key" test "$(asked)" = 1
counted 1
set_pin
pin_is 00000000
no_login "ssh with a wrong PIN and four keys to try" "Permission denied" "${direct[@]}" -o IdentitiesOnly=no
step "asks once for each key" test "$(asked)" = 5
