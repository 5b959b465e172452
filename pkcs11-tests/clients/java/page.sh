# examples/java/README.md: its commands as they stand, in a token of their own; and the provider by java.security.

first_token=$XDG_DATA_HOME
export XDG_DATA_HOME=$work/page
token "page"
mkdir page-commands
cp strongroom.cfg page-commands
step "a jar for the page" jar "${quick[@]}" --create --file page-commands/program.jar -C program Hello.class
sed -n '/^```sh$/,/^```$/p' "$root/examples/java/README.md" | grep -v '^```' | sed '/^java Https/,$d' >page-commands/page.sh
step "the page's keytool and jarsigner commands run" env --chdir=page-commands sh -ex page.sh
cp output said
step "the page's jar is verified" grep -x "jar verified." said
# Not by option, but for all programs of a machine: a line of java.security.
echo "security.provider.12=SunPKCS11 $work/strongroom.cfg" >java.security
says "a provider named in java.security" "contains 3 entries" keytool "${quick[@]}" \
    -J-Djava.security.properties="$work/java.security" -storetype PKCS11 -keystore NONE -storepass "$pin" -list
export XDG_DATA_HOME=$first_token
