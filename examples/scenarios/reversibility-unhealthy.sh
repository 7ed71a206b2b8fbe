# An undo that fails takes the trust in its action at once, whoever asks next and in the middle of the session: from
# then on it counts as one that cannot be undone. A rehearsal that is seen to work gives it back, to whom it belongs
# and for what was rehearsed; other actions are not touched by any of that.
set -u
"$HV" session open --data "$DATA" --id unhealthy --allow file.make=full --allow other.make=full > /dev/null
"$HV" session join --data "$DATA" --agent did:mesh:a --sigma 0.85
"$HV" session join --data "$DATA" --agent did:mesh:b --sigma 0.85
"$HV" session join --data "$DATA" --agent did:mesh:c --sigma 0.85
"$HV" session activate --data "$DATA"
make() {
    "$HV" session "$1" --data "$DATA" --agent "$2" --action "$3" --undo "$5 $4" --probe "test -e $4" -- touch "$4" 2> why
    echo "$1 $2 $3 $4: exit $?"
    grep -o 'an undo of .* failed' why
}
make exec did:mesh:a file.make one rm
make exec did:mesh:b file.make two false
"$HV" session undo --data "$DATA"
echo "undo: exit $?"
make exec did:mesh:a file.make three rm
make exec did:mesh:c file.make four rm
make exec did:mesh:a other.make five rm
make rehearse did:mesh:a file.make six rm
make exec did:mesh:a file.make six rm
make exec did:mesh:a file.make seven rm
make exec did:mesh:c file.make six rm
rm why
ls
"$HV" session close --data "$DATA" > /dev/null
echo "close: exit $?"
