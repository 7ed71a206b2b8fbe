# Behaviour that lies far from what was claimed: whoever watches measures it and puts the agent out of the session,
# and what the agent asks for afterwards is denied.
set -u
"$HV" session open --data "$DATA" --id drift --allow change=full-unproven > /dev/null
"$HV" session join --data "$DATA" --agent did:mesh:steady --sigma 0.85
"$HV" session join --data "$DATA" --agent did:mesh:drifter --sigma 0.85
"$HV" session activate --data "$DATA"
watch() {
    echo "{\"claimed\": $2, \"observed\": $3}" | "$HV" drift - > verdict
    if grep -q '"verdict": *"\(high\|critical\)"' verdict; then
        echo "$1 drifts"
        "$HV" session evict --data "$DATA" --agent "$1"
    else
        echo "$1 does what it claims"
    fi
}
act() {
    "$HV" session exec --data "$DATA" --agent "$1" --action change --undo true -- echo "$1 acts" 2> /dev/null
    echo "exit $?"
}
watch did:mesh:steady '[0.9, 0.1, 0.0]' '[0.88, 0.12, 0.0]'
watch did:mesh:drifter '[0.9, 0.1, 0.0]' '[-0.9, 0.1, 0.1]'
act did:mesh:steady
act did:mesh:drifter
"$HV" session close --data "$DATA" > /dev/null
