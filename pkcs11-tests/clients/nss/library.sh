# A program of our own over libnss3: two databases in one process. Sourced by run.

library() {
    local program=$work/two-databases
    step "it builds" cc -Wall -Wextra -Werror -o "$program" $(pkg-config --cflags nss) "$here/two-databases.c" $(pkg-config --libs nss)
    cp "$module" copy.so
    step "a second database with the module" database same "$module"
    step "a third with a copy of the module" database copy "$work/copy.so"
    says "two databases, one module" "both databases worked" "$program" "$db" sql:same "nss token:rsa" "$pin"
    says "two databases, two copies of the module" "both databases worked" "$program" "$db" sql:copy "nss token:rsa" "$pin"
    says "both copies were loaded" "modules loaded: 2" "$program" "$db" sql:copy "nss token:rsa" "$pin"
    step "no crash at exit, nothing closed" "$program" "$db" sql:same "nss token:rsa" "$pin" leave
    step "nor with two copies" "$program" "$db" sql:copy "nss token:rsa" "$pin" leave
    says "a wrong PIN" "password entered is incorrect" "$program" "$db" sql:same "nss token:rsa" wrong leave
}
