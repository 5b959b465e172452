# For name servers that sign zones ZONE.test with keys of the token: read after lib.sh. They listen on $port.
zone_text='$TTL 300\n@ SOA ns host 1 300 300 3000 300\n@ NS ns\nns A 127.0.0.1\nwww A 192.0.2.1\n'

ask() { # ask OPTION…
    dig @127.0.0.1 -p "$port" +tries=1 "$@"
}

served() { # served ZONE: it answers with a signature
    ask +dnssec "www.$1.test" A | grep -q 'RRSIG.*A '
}

valid() { # valid TEXT NAME ZONE: delv agrees, whose trust anchor is the zone's own key
    ask +short DNSKEY "$3.test" | awk -v zone="$3.test." '$1 == 257 { key = ""; for (i = 4; i <= NF; i++) key = key $i
        printf "trust-anchors { %s static-key 257 3 %s \"%s\"; };\n", zone, $3, key }' >"$work/$3.anchor"
    says "$1" "fully validated" delv @127.0.0.1 -p "$port" -a "$work/$3.anchor" +root="$3.test" "$2.$3.test" A
}

private_keys() { # how many the token has
    OPENSSL_CONF= pkcs11-tool --module "$module" --login --pin "$pin" --list-objects --type privkey 2>"$work/output" |
        grep -c '^Private Key Object'
}
