# What Java says when the PIN is wrong, the user locked, the token missing or taken away, the file read-only.

says "keytool: a wrong PIN" CKR_PIN_INCORRECT keytool -v "${token[@]}" -storepass "not the PIN" -list
says "jarsigner: a wrong PIN" "load failed" jarsigner "${token[@]}" -storepass "not the PIN" alice-ec.jar alice-ec
program Refusals wrong-pin strongroom.cfg "$pin"

officer=(env STRONGROOM_OFFICER_PASSWORD="$so_pin" "$strongroom")
step "a second user" env STRONGROOM_PASSWORD=bobs-password "${officer[@]}" user create bob --role cu
program Refusals lock strongroom.cfg bob:bobs-password
program Refusals locked strongroom.cfg bob:bobs-password
step "the officer ends the lock" env STRONGROOM_PASSWORD=new-password "${officer[@]}" user set-password bob
says "Bob is back, and sees no key of the first user" "contains 0 entries" \
    keytool "${token[@]}" -storepass bob:new-password -list

sed 's/^slot = .*/slot = 9/' strongroom.cfg >no-slot.cfg
program Refusals no-slot no-slot.cfg
config strongroom.cfg /nonexistent/libstrongroom.so >no-library.cfg
program Refusals no-library no-library.cfg
XDG_DATA_HOME=$work/nothing program Refusals no-token strongroom.cfg

program Refusals removed strongroom.cfg "$pin" "$XDG_DATA_HOME/strongroom"

# Files that their owner may read and nobody write; root may always, so somebody else tries.
mkdir reader
cp -r "$XDG_DATA_HOME/strongroom" "$module" reader
config strongroom.cfg "$work/reader/$(basename "$module")" >reader.cfg
find reader -type f -exec chmod 400 {} +
find reader -type d -exec chmod 500 {} +
if [ "$(id -u)" = 0 ]; then
    chown -R 65534:65534 reader
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
XDG_DATA_HOME=$work/reader program Refusals read-only "$work/reader.cfg" "$pin"
as=()
