# What people get wrong, and what NSS then says. Sourced by run.

mistakes() {
    local wrong="SEC_ERROR_BAD_PASSWORD" list=("${certutil[@]}" -K -h "nss token") powerless=()
    says "certutil, wrong PIN" "$wrong" "${no[@]}" certutil -d "$db" -f wrong-pins -K -h "nss token"
    says "cmsutil, wrong PIN" "$wrong" cmsutil -S -d "$db" -f wrong-pins -N "nss token:rsa" -i text -o no.p7
    step "the right one is taken" "${list[@]}"

    mkdir empty
    says "no token yet" "could not initialize token" env XDG_DATA_HOME="$work/empty" modutil -dbdir "$db" -list strongroom
    says "no token yet: no key" "SEC_ERROR_NO_TOKEN.*needs to be initialized" "${no[@]}" env XDG_DATA_HOME="$work/empty" \
        "${certutil[@]}" -R -h "nss token" -s CN=none -z noise -o no.csr

    # Root minds file modes when its capabilities are gone.
    [ "$(id -u)" != 0 ] || powerless=(setpriv --bounding-set=-all)
    cp -rp "$XDG_DATA_HOME" read-only
    chmod -R a-w read-only
    powerless+=(env XDG_DATA_HOME="$work/read-only")
    says "read-only store: modutil says so" "Access: Write Protected" "${powerless[@]}" modutil -dbdir "$db" -list strongroom
    step "read-only store: it signs" "${powerless[@]}" cmsutil -S -d "$db" -f pins -N "nss token:rsa" -i text -o ro.p7
    says "read-only store: no new key" SEC_ERROR_READ_ONLY "${no[@]}" "${powerless[@]}" "${certutil[@]}" -R -h "nss token" -s CN=none -z noise -o no.csr
    says "read-only store: no new certificate" SEC_ERROR_ADDING_CERT "${no[@]}" "${powerless[@]}" "${certutil[@]}" -A -h "nss token" -n none -t ,, -i ca.pem
    chmod -R u+w read-only

    for try in 1 2 3 4 5; do
        refused "wrong PIN $try of 5" "${no[@]}" certutil -d "$db" -f wrong-pins -K -h "nss token"
    done
    says "then the user is locked" SEC_ERROR_LOCKED_PASSWORD "${no[@]}" "${list[@]}"
    says "cmsutil says so too" SEC_ERROR_LOCKED_PASSWORD cmsutil -S -d "$db" -f pins -N "nss token:rsa" -i text -o no.p7
    says "and modutil still lists the token" "Token Name: nss token" modutil -dbdir "$db" -list strongroom
    step "the officer gives a new PIN" pkcs11-tool --module "$module" --init-pin --login --login-type so --so-pin "$so_pin" --pin "$pin"
    step "the keys are back" "${list[@]}"
}
