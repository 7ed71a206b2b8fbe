# Agents with nothing but a shell work in a git checkout under hv: one is denied, one takes back a mistake, and one
# hands its work over to another. Run it with `hv test examples/shell-agent`, or in an empty folder with HV (the
# program hv) and DATA (the folder of a trail that is not there yet) set.
set -eu

# --- A checkout and its remote ---------------------------------------------------------------------------------
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git init -q --bare remote.git
git init -q -b main checkout
cd checkout
git config user.name 'Shell Agents'
git config user.email agents@example.org
git remote add origin ../remote.git
echo '# Demo' > README.md
git add README.md
git commit -q -m 'Begin'

# --- Whoever runs the node: a session, its actions, who takes part ------------------------------------------------
"$HV" session open --data "$DATA" --id fix --allow look=read-only --allow file.edit=full --allow git.commit=full \
    --allow git.push=full > /dev/null
"$HV" session join --data "$DATA" --agent did:mesh:coder --sigma 0.85
"$HV" session join --data "$DATA" --agent did:mesh:intern --sigma 0.40
"$HV" session activate --data "$DATA"

# --- What an agent calls in place of the command itself --------------------------------------------------------
as() { # as AGENT ACTION [OPTION…] -- COMMAND…
    agent=$1 action=$2
    shift 2
    "$HV" session exec --data "$DATA" --agent "did:mesh:$agent" --action "$action" "$@"
}
commit() { # commit AGENT MESSAGE
    as "$1" git.commit --undo 'git reset -q --soft HEAD~1' --probe "git log -1 --format=%s | grep -qxF '$2'" \
        -- git commit -q -a -m "$2"
}
push() { # push AGENT
    as "$1" git.push --undo 'git push -q origin :main' --probe 'git ls-remote --exit-code origin main > /dev/null || exit 1' \
        -- git push -q origin main
}

# --- The coder edits and commits ------------------------------------------------------------------------------
as coder file.edit --undo 'git checkout -q HEAD README.md' --probe 'grep -q Usage README.md' \
    -- sh -c 'echo "## Usage" >> README.md'
commit coder 'Say how it is used'
as intern look -- git log --format=%s

# --- The intern may read, not publish: a denial -------------------------------------------------------------------
code=0
push intern 2> /dev/null || code=$?
echo "the intern pushes: exit $code, on the remote: $(git ls-remote origin | wc -l)"

# --- The coder commits a mistake and takes it back: an undo ---------------------------------------------------
as coder file.edit --step mistake --undo 'git checkout -q HEAD README.md' --probe 'grep -q nonsense README.md' \
    -- sh -c 'echo nonsense >> README.md'
commit coder 'Nonsense'
"$HV" session undo --data "$DATA"
"$HV" session undo --data "$DATA" --step mistake
echo "after the undo: $(git log --format=%s | head -1), $(wc -l < README.md) lines"

# --- The coder goes, somebody else finishes: a hand-over --------------------------------------------------------
"$HV" session join --data "$DATA" --agent did:mesh:finisher --sigma 0.75
"$HV" session leave --data "$DATA" --agent did:mesh:coder
code=0
push coder 2> /dev/null || code=$?
echo "the coder, who has left, pushes: exit $code"
push finisher
echo "on the remote: $(git ls-remote origin | wc -l)"

# --- The end: a root, and a trail that anybody can verify -------------------------------------------------------
"$HV" session status --data "$DATA" | grep -c '^  denied'
"$HV" session close --data "$DATA" > /dev/null
"$HV" audit verify --sealed "$DATA" | head -1
