# What OpenSSL says when something about the token is wrong: the third part of openssl.sh. Whatever goes
# wrong, it ends by itself, with a message, and asks for a PIN no more than once.
# The scripts set `locator`, the token's URI up to the PIN with %s for label and type, and say_pin,
# say_locked, say_nothing (no such token or key): what openssl says.
at_prompt=$clients/at-prompt

signing() { # signing URI-ATTRIBUTES OPTION…: $words are a signature by the key rsa
    rm -f "$work/sig"
    words=(env KEY_URI="$locator$1" "$ssl" dgst -sha256 -sign @rsa -out "$work/sig" "${@:2}" "$work/text")
}

good_pins() { # good_pins: all the ways to give a PIN
    printf '%s' "$pin" >"$work/pin"
    signing ";pin-source=file:$work/pin"
    step "the PIN from a file named in the URI" "${words[@]}"
    signing "" -passin "file:$work/pin"
    step "the PIN from OpenSSL's own -passin" "${words[@]}"
    signing ""
    says "the PIN typed at the prompt: asked once" "^asked 1 times" "$at_prompt" "$pin" "${words[@]}"
    step "and it signs" "${plain[@]}" dgst -sha256 -verify "$work/rsa.pub" -signature "$work/sig" "$work/text"
}

mistyped() { # mistyped: a wrong PIN in the URI, at the prompt, from nobody; each command costs one try at most
    signing ";pin-value=wrong-pin"
    fails "a wrong PIN" "$say_pin" "${words[@]}"
    fails "once more" "$say_pin" "${words[@]}"
    step "the two cost two of five tries" no_final_try
    signing ""
    says "a wrong PIN at the prompt" "$say_pin" "$at_prompt" wrong-pin "${words[@]}"
    says "is asked for once" "^asked 1 times" "$at_prompt" wrong-pin "${words[@]}"
    step "the right one puts the count back" "${user[@]}" --list-objects
    refused "no terminal to ask at: no hang" setsid --wait "${words[@]}"
}

no_final_try() { # no_final_try: the token does not say that one try is left
    "${tool[@]}" --list-slots >"$work/slots" && cat "$work/slots" && ! grep -q "final user PIN try" "$work/slots"
}

locked_user() { # locked_user: five wrong PINs, and the officer's help
    wrong_pins 5
    signing ";pin-value=$pin"
    fails "a locked user, the right PIN" "$say_locked" "${words[@]}"
    signing ""
    says "a locked user is asked no more than once" "^asked [01] times$" "$at_prompt" "$pin" "${words[@]}"
    unlock
    signing ";pin-value=$pin"
    step "the user signs again" "${words[@]}"
}

missing() { # missing: token, key, file
    fails "a token that is not there" "$say_nothing" env KEY_URI="${locator/token=/token=not%%20}" "$ssl" dgst -sha256 -sign @rsa "$work/text"
    signing ";pin-value=$pin"
    fails "a key that is not there" "$say_nothing" env KEY_URI="$locator;pin-value=$pin" "$ssl" dgst -sha256 -sign @nobody "$work/text"
    no_token "$say_nothing" "${words[@]}"
}

unwritable() { # unwritable: a store that cannot be written signs; and cannot be written
    signing ";pin-value=$pin"
    step "a read-only store: it signs" read_only "${words[@]}"
    step "the signature verifies" "${plain[@]}" dgst -sha256 -verify "$work/rsa.pub" -signature "$work/sig" "$work/text"
    fails "a read-only store: no new key" CKR_TOKEN_WRITE_PROTECTED read_only "${user[@]}" --keygen --key-type AES:32 --label new
}

mistakes() {
    good_pins
    mistyped
    locked_user
    missing
    unwritable
}
