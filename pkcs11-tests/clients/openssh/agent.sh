# ssh-agent: its allow-list (-P), keys in, a signature by each, keys out.
background agent.log ssh-agent -D -a "$SSH_AUTH_SOCK" -P "$module"
agent=$child
wait_for test -S "$SSH_AUTH_SOCK" || failed "ssh-agent starts"

pin_is "$pin"
cp "$module" "$work/elsewhere.so"
fails "the agent loads no module outside its allow-list" "agent refused operation" ssh-add -s "$work/elsewhere.so"
says "the agent takes the module" "Card added" ssh-add -s "$module"
step "it asked for the PIN once per try" test "$(asked)" = 2
for label in rsa p256 p384 p521 hostkey; do
    step "the agent lists $label" sh -c "ssh-add -L | grep -qF '$(cut -d' ' -f1,2 "$work/keys/$label.pub")'"
    step "the agent signs with $label" ssh-add -T "$work/keys/$label.pub"
done
says "the agent gives the module up" "Card removed" ssh-add -e "$module"
says "and its keys are gone" "no identities" ssh-add -l
says "the agent takes it again" "Card added" ssh-add -s "$module"
