#!/usr/bin/env python3
# hv evidence bundle, version 2.
#
# This file is a program and the evidence that it checks. It needs Python 3.8 and nothing else:
#     python3 FILE [KEY]           checks itself; KEY is the log's key, as you got it from elsewhere: name+id+base64,
#                                  or a did:key
#     python3 FILE KEY OTHER       checks another bundle, with this program
# It prints what it found and exits 0, or says what is wrong and exits 1; 2 where KEY is no key. Who made the bundle chose this program
# too: compare its lines with those of a copy that you trust, or check the bundle with `hv audit check`.
import base64, hashlib, json, struct, sys

MASK, IV = 0xFFFFFFFF, (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)


def need(holds, what):
    if holds is not True:
        raise SystemExit("tampered: " + what)


# BLAKE3 (github.com/BLAKE3-team/BLAKE3-specs): hashes with a key, and keys from a context.
def compress(cv, block, counter, flags):
    m, size = list(struct.unpack("<16I", block.ljust(64, b"\0"))), len(block)
    v = list(cv) + list(IV[:4]) + [counter & MASK, counter >> 32, size, flags]

    def mix(a, b, c, d, x, y):
        for first, turn, second, more in ((x, 16, 12, 0), (y, 8, 7, 0)):
            v[a] = (v[a] + v[b] + first) & MASK
            t = v[d] ^ v[a]
            v[d] = (t >> turn | t << 32 - turn) & MASK
            v[c] = (v[c] + v[d]) & MASK
            t = v[b] ^ v[c]
            v[b] = (t >> second | t << 32 - second) & MASK

    for _ in range(7):
        for i in range(4):
            mix(i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1])
        for i in range(4):
            mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i])
        m = [m[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3(data, key, flags):
    def node(data, counter):  # what its parent, or the root, compresses last
        if len(data) <= 1024:
            cv, blocks = key, [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
            for i, block in enumerate(blocks[:-1]):
                cv = compress(cv, block, counter, flags | (i == 0))
            return cv, blocks[-1], counter, flags | (len(blocks) == 1) | 2
        left = 1024 << ((len(data) - 1) // 1024).bit_length() - 1
        both = compress(*node(data[:left], counter)) + compress(*node(data[left:], counter + left // 1024))
        return key, struct.pack("<16I", *both), 0, flags | 4

    cv, block, counter, last = node(data, 0)
    return struct.pack("<8I", *compress(cv, block, counter if len(data) <= 1024 else 0, last | 8))


def keyed(key, data):
    return blake3(data, struct.unpack("<8I", key), 16)


def leaf(record):  # keyed by the parent's hash, with which a record begins
    need(len(record) > 32, "a record ends too early")
    return keyed(record[:32], record[32:])


def root(leaves):  # RFC 6962, section 2.1, with the trail's own hash
    if len(leaves) < 2:
        return leaves[0] if leaves else blake3(b"", IV, 0)
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return blake3(root(leaves[:left]) + root(leaves[left:]), IV, 0)


# Ed25519 (RFC 8032, section 5.1), strict: canonical encodings, no points of small order.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)


def add(p, q):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = p, q
    a, b, c, d = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P, 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        q, p, n = add(q, p) if n & 1 else q, add(p, p), n >> 1
    return q


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * ROOT % P
    need(y < P and (x * x - square) % P == 0 and not (x == 0 and sign), "a point is not on the curve")
    x = x if x & 1 == sign else P - x
    need(same(times(8, (x, y, 1, x * y % P)), (0, 1, 1, 0)) is False, "a point is of small order")
    return x, y, 1, x * y % P


def same(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def signed(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    y = 4 * pow(5, P - 2, P) % P
    base = point(y.to_bytes(32, "little"))
    return len(signature) == 64 and s < L and same(times(s, base), add(point(signature[:32]), times(h, point(key))))


# What docs/FORMATS.md of hv says: records, sections 1 and 5.
class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        need(self.at + size <= len(self.data), "a record ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self):
        value, shift, byte = 0, 0, 128
        while byte & 128:
            byte = self.take(1)[0]
            value, shift = value | (byte & 127) << shift, shift + 7
        return value

    def rest(self):
        return self.data[self.at :]


def record(data):
    r = Reader(data)
    fields = {"parent": r.take(32), "kind": r.take(1)[0], "seq": r.number(), "lsn": r.number()}
    fields["time"] = struct.unpack("<Q", r.take(8))[0]
    fields["payloads"] = [(r.take(32), r.number()) for _ in range(r.number())]
    return fields, r


def unbase(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 in another form than its own")
    return data


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def trust(text):  # the name, where the key has one, and the key itself: the byte 1, and its 32 bytes
    try:
        if text.startswith("did:key:z"):
            value = 0
            for digit in text[9:]:
                value = 58 * value + BASE58.index(digit)
            data = value.to_bytes(34, "big")
            return (None, b"\1" + data[2:]) if data[:2] == b"\xed\1" else None
        name, _, key = text.split("+", 2)
        key = base64.b64decode(key, validate=True)
        return (name, key) if len(key) == 33 else None
    except (ValueError, OverflowError):
        return None


def check(data, trusted):
    body, mark, digest = data.rpartition(b"#sha256 ")
    need(digest == hashlib.sha256(body).hexdigest().encode() + b"\n", "the file is not what was written")
    evidence = json.loads(body.rpartition(b"\n#evidence ")[2])
    if evidence["format"] != "hv-evidence-bundle/2":
        raise SystemExit("this is a bundle of another version: check it with the program in it")

    # The checkpoint, and who signed it.
    name, key_id, key = evidence["key"].split("+", 2)
    typed = unbase(key)
    same_key = trusted is None or trusted[1] == typed and trusted[0] in (None, name)
    need(same_key, "the bundle is signed with another key than yours")
    need(typed[:1] == b"\1" and len(typed) == 33, "the key is none of Ed25519")
    need(hashlib.sha256(name.encode() + b"\n" + typed).hexdigest()[:8] == key_id, "the key's id is wrong")
    text, _, lines = evidence["checkpoint"].rpartition("\n\n")
    text = text + "\n"
    mine = [line.split(" ") for line in lines.split("\n") if line.startswith("\u2014 " + name + " ")]
    mine = [unbase(words[2]) for words in mine if unbase(words[2])[:4].hex() == key_id]
    need(len(mine) == 1, "the checkpoint is not signed once with the key")
    need(signed(typed[1:], text.encode(), mine[0][4:]), "the signature is not over this checkpoint")
    origin, size, top = text.split("\n")[:3]
    need(origin == name, "the checkpoint is of another log")
    size, top = int(size), unbase(top)

    # What the node's stream says of the session: RFC 9162, section 2.1.3.2.
    says = []
    for entry in evidence["entries"]:
        data, index, last = unbase(entry["record"]), entry["index"], size - 1
        fields, r = record(data)
        need(0 <= index < size and fields["seq"] == index, "an entry is from another place")
        shown = data if len(data) < 65536 else leaf(data)
        value = hashlib.sha256(b"\0" + shown).digest()
        for sibling in map(unbase, entry["path"]):
            need(last > 0, "a path is too long")
            if index & 1 or index == last:
                value = hashlib.sha256(b"\1" + sibling + value).digest()
                while index and not index & 1:
                    index, last = index >> 1, last >> 1
            else:
                value = hashlib.sha256(b"\1" + value + sibling).digest()
            index, last = index >> 1, last >> 1
        need(last == 0 and value == top, "an entry is not in the signed log")
        says.append((fields["kind"], r))
    need(len(says) == 2 and says[0][0] == 3 and says[1][0] in (4, 6), "not what opened and what ended the session")
    (_, opened), (ended, r) = says
    stream = opened.number()
    label = opened.take(opened.number()).decode()
    need((stream, label) == (evidence["stream"], evidence["label"]), "the session has another name")
    first, close = opened.take(32), None
    if ended == 4:
        need(r.number() == stream, "another session was closed")
        count, sum_of_all, close = r.number(), r.take(32), r.take(32)
    else:
        while True:
            found, count, _, sum_of_all = r.number(), r.number(), r.take(32), r.take(32)
            if found == stream:
                break

    # The session's own records: a chain, and a tree.
    parent, leaves, payloads = bytes(28) + struct.pack("<I", stream), [], {}
    for place, data in enumerate(map(unbase, evidence["records"])):
        fields, _ = record(data)
        need(fields["parent"] == parent and fields["seq"] == place, "record %d is not the next one" % place)
        parent = leaf(data)
        leaves.append(parent)
        payloads.update(fields["payloads"])
    need(len(leaves) == count + (close is not None) and leaves[0] == first, "records are missing, or are others")
    need(root(leaves[:count]) == sum_of_all, "the records have another root than was signed")
    need(close is None or leaves[count] == close, "the session was closed by another record")

    # The content that is enclosed: section 6.
    for payload in evidence["payloads"]:
        salt, content = unbase(payload["salt"]), unbase(payload["content"])
        need(len(salt) == 32 and payloads.get(keyed(salt, content)) == len(content), "a payload is another")
    return evidence, size, origin, len(leaves), len(payloads), close is not None


path = sys.argv[2] if len(sys.argv) > 2 else __file__
trusted = trust(sys.argv[1]) if len(sys.argv) > 1 else None
if len(sys.argv) > 1 and trusted is None:
    sys.stderr.write("%s: no key of a log; give it as name+id+base64, or as a did:key\n" % ascii(sys.argv[1]))
    sys.exit(2)
with open(path, "rb") as file:
    whole = file.read()
# Said twice, so that no one changed byte can take both away.
before, _, after = whole.rpartition(b"#sha256 ")
if hashlib.sha256(before).hexdigest().encode() + b"\n" != after:
    raise SystemExit("tampered: the file is not what was written")
try:
    evidence, size, origin, records, payloads, closed = check(whole, trusted)
except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
    raise SystemExit("tampered: not what a bundle is made of: %r" % (error,))
print("verified: session %s (stream %d) of %s" % (ascii(evidence["label"]), evidence["stream"], ascii(origin)))
print("  records   %d, %s" % (records, "closed" if closed else "open when the log was ended"))
print("  payloads  %d named, %d enclosed" % (payloads, len(evidence["payloads"])))
print("  signed    a log of %d entries, with %s" % (size, evidence["key"]))
if len(sys.argv) < 2:
    print("  Whether that is the log's key is not in this file: compare it with the one that you were told.")
