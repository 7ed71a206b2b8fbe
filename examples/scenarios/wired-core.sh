# Everything at once: files, a denial, a snapshot, an undo, a kill and its end, on one trail that verifies.
set -u
"$HV" session open --data "$DATA" --id wired --allow change=full > /dev/null
"$HV" session join --data "$DATA" --agent did:mesh:a --sigma 0.85
"$HV" session join --data "$DATA" --agent did:mesh:b --sigma 0.7
"$HV" session join --data "$DATA" --agent did:mesh:reader
"$HV" session activate --data "$DATA"
echo one | "$HV" vfs write --data "$DATA" --agent did:mesh:a plan > /dev/null
"$HV" vfs acl --data "$DATA" --agent did:mesh:a plan --allow everyone=read
echo two | "$HV" vfs write --data "$DATA" --agent did:mesh:b plan 2> /dev/null
echo "b writes: exit $?"
echo new | "$HV" vfs write --data "$DATA" --agent did:mesh:reader new 2> /dev/null
echo "reader writes: exit $?"
"$HV" vfs cat --data "$DATA" --agent did:mesh:reader plan
"$HV" vfs snapshot --data "$DATA" --agent did:mesh:a before
change() {
    "$HV" session exec --data "$DATA" --agent "$1" --action change --undo 'rm made' --probe 'test -e made' -- touch made 2> /dev/null
    echo "$1 changes: exit $?, made: $(ls)"
}
change did:mesh:b
"$HV" session undo --data "$DATA"
echo "made: $(ls)"
"$HV" kill --data "$DATA" --agent did:mesh:b --reason 'it was seen where it should not be'
change did:mesh:b
"$HV" kill --data "$DATA" --agent did:mesh:b --lift --reason 'it was somebody else'
"$HV" session close --data "$DATA" > /dev/null
echo "close: exit $?"
