"""Checks what hv exports with the package aics-tlog: check.py TILES VKEY [OLDER-CHECKPOINT] [PROOF...]

Prints one line for each thing that holds, and ends with an error for the first that does not.
"""

import base64
import sys

import aics_tlog as tlog

tiles, vkey, older, *proofs = sys.argv[1:]
key = tlog.parse_vkey(vkey)


def opened(path):
    with open(path, "rb") as file:
        raw = file.read()
    result = tlog.verify_checkpoint(tlog.parse_note(raw), key)
    assert result.ok, result
    return tlog.checkpoint.checkpoint_from_note(raw)[0]


checkpoint = opened(tiles + "/checkpoint")
print("checkpoint", checkpoint.size)
reader = tlog.FileSystemTileReader(tiles)
assert tlog.tree_root_from_tiles(reader, checkpoint.size) == checkpoint.root
verified = tlog.VerifiedTileReader(reader, checkpoint.size, checkpoint.root)
verified.check_root()
for index in range(checkpoint.size):
    path = tlog.inclusion_proof_from_tiles(verified, index, checkpoint.size)
    entry = verified.entry(index)
    assert tlog.verify_leaf_inclusion(entry, index, checkpoint.size, path, checkpoint.root)
print("entries", checkpoint.size)

before = opened(older)
path = tlog.consistency_proof_from_tiles(verified, before.size, checkpoint.size)
assert tlog.verify_consistency(before.size, checkpoint.size, before.root, checkpoint.root, path)
print("grew", before.size, checkpoint.size)

for name in proofs:
    with open(name, encoding="utf-8") as file:
        text = file.read()
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1" and lines[1].startswith("extra ")
    index = int(lines[2].removeprefix("index "))
    path = [base64.b64decode(line) for line in lines[3:]]
    result = tlog.verify_checkpoint(tlog.parse_note(note.encode()), key)
    assert result.ok, result
    proven = tlog.checkpoint.checkpoint_from_note(note.encode())[0]
    # What is proven is the entry that stands at this place in the tiles.
    assert tlog.verify_leaf_inclusion(verified.entry(index), index, proven.size, path, proven.root)
    print("proof", index)
