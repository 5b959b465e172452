# What people get wrong, and what NSS then says. Sourced by run.

mistakes() {
    local wrong="SEC_ERROR_BAD_PASSWORD" list=("${certutil[@]}" -K -h "nss token")
    says "certutil, wrong PIN" "$wrong" certutil -d "$db" -f wrong-pins -K -h "nss token"
    says "cmsutil, wrong PIN" "$wrong" cmsutil -S -d "$db" -f wrong-pins -N "nss token:rsa" -i text -o no.p7
    step "the right one is taken" "${list[@]}"

    says "without a token modutil says so" "could not initialize token" env XDG_DATA_HOME="$work/nothing" modutil -dbdir "$db" -list strongroom
    no_token "SEC_ERROR_NO_TOKEN.*needs to be initialized" "${certutil[@]}" -R -h "nss token" -s CN=none -z noise -o no.csr

    says "read-only store: modutil says so" "Access: Write Protected" read_only modutil -dbdir "$db" -list strongroom
    step "read-only store: it signs" read_only cmsutil -S -d "$db" -f pins -N "nss token:rsa" -i text -o ro.p7
    fails "read-only store: no new key" SEC_ERROR_READ_ONLY read_only "${certutil[@]}" -R -h "nss token" -s CN=none -z noise -o no.csr
    fails "read-only store: no new certificate" SEC_ERROR_ADDING_CERT read_only "${certutil[@]}" -A -h "nss token" -n none -t ,, -i ca.pem

    wrong_pins 5
    fails "a locked user is told so" SEC_ERROR_LOCKED_PASSWORD "${list[@]}"
    fails "by cmsutil too" SEC_ERROR_LOCKED_PASSWORD cmsutil -S -d "$db" -f pins -N "nss token:rsa" -i text -o no.p7
    says "and modutil still lists the token" "Token Name: nss token" modutil -dbdir "$db" -list strongroom
    unlock
    step "the keys are back" "${list[@]}"
}
