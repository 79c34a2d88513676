#!/usr/bin/env python3
"""Checks evidence files that accuse a log or a witness, with nothing but Python's standard library.

    verify_evidence.py FILE... --key VKEY [--key VKEY]...

A second opinion on `daybook verify-evidence`, written from docs/spec/evidence.md and the standards that it names,
short enough to be read: SHA-256 and SHAKE from hashlib; Ed25519 (RFC 8032), ECDSA over P-256 (FIPS 186-5) and
ML-DSA-44 (FIPS 204) verified here. For evidence about records it needs record_statement.py beside it. It only
verifies public data, and makes no attempt at constant time.

Exit code: 0 every file proves misbehaviour, 1 one does not, 2 one is malformed, 3 one could not be read.
"""

import base64
import binascii
import hashlib
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import record_statement as records
except ModuleNotFoundError:
    records = None

FILE_BYTES_MAX = 1 << 20
NOTE_BYTES_MAX = 256 * 1024
BLOCKS_MAX = 64
PROOF_HASHES_MAX = 63
ENTRY_BYTES_MAX = 65535
NAME_BYTES_MAX = 255
SIZE_MAX = 2**63 - 1
RECORD_FORMS = {
    "record-malformed": "an entry that is no statement",
    "record-genesis": "a second genesis",
    "record-other-log": "a statement for another log",
    "record-foreign-key": "a statement about one agency, signed by a key of another",
    "record-repeated": "one statement twice",
    "record-forked-chain": "two statements that both follow the same one",
    "record-key-twice": "a key that was brought in twice",
    "record-ended-key": "a statement by a key that had ended",
    "record-bad-signature": "a statement with a signature that does not verify",
}
ED25519, ECDSA_P256, COSIGNATURE, TREE_HEAD, ML_DSA_44 = 1, 2, 4, 5, 6
# The Unicode property White_Space, which no key name may contain.
WHITE_SPACE = set(map(chr, [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F,
                            0x205F, 0x3000]))


class Malformed(Exception):
    """The file is no evidence file."""


class ProvesNothing(Exception):
    """The file is well-formed and shows no contradiction."""


# --- Ed25519 ---------------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ED_BASE_Y = 4 * pow(5, -1, P) % P


def ed_decode(data):
    """A point in extended coordinates, from its canonical encoding only."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def ed_add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def ed_multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = ed_add(result, point)
        point = ed_add(point, point)
        scalar >>= 1
    return result


def ed_equal(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def ed_good(point):
    """Whether there is a point, and it is not one of the eight of small order."""
    return point is not None and not ed_equal(ed_multiply(8, point), (0, 1, 1, 0))


def verify_ed25519(key, message, signature):
    if len(signature) != 64:
        return False
    a, r = ed_decode(key), ed_decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if not ed_good(a) or not ed_good(r) or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    base = ed_decode((ED_BASE_Y).to_bytes(32, "little"))
    return ed_equal(ed_multiply(s, base), ed_add(r, ed_multiply(k, a)))


# --- ECDSA over P-256, with SHA-256 ----------------------------------------------------------------------------

P256_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
P256_G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
          0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)
# SubjectPublicKeyInfo of an uncompressed point: id-ecPublicKey, prime256v1, 66 bytes of bit string, 0x04.
P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


def p256_point(spki):
    if len(spki) != 91 or not spki.startswith(P256_SPKI):
        return None
    x, y = int.from_bytes(spki[27:59], "big"), int.from_bytes(spki[59:], "big")
    on_curve = x < P256_P and y < P256_P and (y * y - x**3 + 3 * x - P256_B) % P256_P == 0
    return (x, y) if on_curve else None


def p256_add(p, q):
    if p is None or q is None:
        return p or q
    if p[0] == q[0]:
        if (p[1] + q[1]) % P256_P == 0:
            return None
        slope = (3 * p[0] * p[0] - 3) * pow(2 * p[1], -1, P256_P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P256_P)
    x = (slope * slope - p[0] - q[0]) % P256_P
    return (x, (slope * (p[0] - x) - p[1]) % P256_P)


def p256_multiply(scalar, point):
    result = None
    while scalar:
        if scalar & 1:
            result = p256_add(result, point)
        point = p256_add(point, point)
        scalar >>= 1
    return result


def der_integer(value):
    data = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes([2, len(data)]) + data


def der_split(signature):
    """r and s, if the bytes are exactly the shortest encoding of two numbers in range, s the lower of two."""
    if len(signature) < 8 or signature[0] != 0x30 or signature[2] != 2:
        return None
    length = signature[3]
    r = int.from_bytes(signature[4:4 + length], "big")
    s = int.from_bytes(signature[6 + length:], "big")
    body = der_integer(r) + der_integer(s)
    canonical = bytes([0x30, len(body)]) + body == signature
    return (r, s) if canonical and 0 < r < P256_N and 0 < s <= P256_N // 2 else None


def verify_p256(spki, message, signature):
    point, numbers = p256_point(spki), der_split(signature)
    if point is None or numbers is None:
        return False
    r, s = numbers
    e = int.from_bytes(hashlib.sha256(message).digest(), "big")
    w = pow(s, -1, P256_N)
    found = p256_add(p256_multiply(e * w % P256_N, P256_G), p256_multiply(r * w % P256_N, point))
    return found is not None and found[0] % P256_N == r


# --- ML-DSA-44 (FIPS 204, algorithms 3 and 8) --------------------------------------------------------------------

Q = 8380417
GAMMA1, GAMMA2, TAU, BETA, OMEGA, K = 2**17, (Q - 1) // 88, 39, 78, 80, 4
ZETAS = [pow(1753, int(f"{i:08b}"[::-1], 2), Q) for i in range(256)]


def ntt(w):
    w, at, length = list(w), 0, 128
    while length:
        for start in range(0, 256, 2 * length):
            at += 1
            for j in range(start, start + length):
                t = ZETAS[at] * w[j + length] % Q
                w[j], w[j + length] = (w[j] + t) % Q, (w[j] - t) % Q
        length //= 2
    return w


def inverse_ntt(w):
    w, at, length = list(w), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            at -= 1
            for j in range(start, start + length):
                t = w[j]
                w[j], w[j + length] = (t + w[j + length]) % Q, -ZETAS[at] * (t - w[j + length]) % Q
        length *= 2
    return [value * 8347681 % Q for value in w]


def unpack(data, bits):
    number = int.from_bytes(data, "little")
    return [number >> (bits * i) & (2**bits - 1) for i in range(256)]


def unpack_hints(data):
    """The positions of the hints in each polynomial, strictly increasing; None if they are not in the one form."""
    hints, index = [], 0
    for i in range(K):
        end = data[OMEGA + i]
        positions = list(data[index:end])
        if not index <= end <= OMEGA or any(a >= b for a, b in zip(positions, positions[1:])):
            return None
        hints.append(set(positions))
        index = end
    return hints if not any(data[index:OMEGA]) else None


def expand_matrix_entry(rho, s, r):
    """A polynomial of the public matrix, in the domain of the transform, by rejection."""
    stream = hashlib.shake_128(rho + bytes([s, r])).digest(3 * 1024)
    values = (int.from_bytes(stream[i:i + 3], "little") & 0x7FFFFF for i in range(0, len(stream), 3))
    polynomial = [value for value in values if value < Q][:256]
    assert len(polynomial) == 256, "of 1024 draws at least 256 are in range, but for a chance below 2^-1000"
    return polynomial


def sample_in_ball(seed):
    stream = hashlib.shake_256(seed).digest(8 + 1024)
    signs, at, c = int.from_bytes(stream[:8], "little"), 8, [0] * 256
    for i in range(256 - TAU, 256):
        while stream[at] > i:
            at += 1
        j = stream[at]
        at += 1
        c[i], c[j] = c[j], -1 if signs & 1 else 1
        signs >>= 1
    return c


def use_hint(hint, value):
    low = value % (2 * GAMMA2)
    if low > GAMMA2:
        low -= 2 * GAMMA2
    high = 0 if value - low == Q - 1 else (value - low) // (2 * GAMMA2)
    if value - low == Q - 1:
        low -= 1
    if not hint:
        return high
    return (high + (1 if low > 0 else -1)) % 44


def verify_ml_dsa_44(key, message, signature):
    if len(key) != 1312 or len(signature) != 2420:
        return False
    rho, t1 = key[:32], [unpack(key[32 + 320 * i:352 + 320 * i], 10) for i in range(K)]
    challenge, hints = signature[:32], unpack_hints(signature[2336:])
    z = [[GAMMA1 - value for value in unpack(signature[32 + 576 * i:608 + 576 * i], 18)] for i in range(4)]
    if hints is None or any(abs(value) >= GAMMA1 - BETA for polynomial in z for value in polynomial):
        return False
    mu = hashlib.shake_256(hashlib.shake_256(key).digest(64) + b"\0\0" + message).digest(64)
    c, z = ntt(sample_in_ball(challenge)), [ntt(polynomial) for polynomial in z]
    encoded = b""
    for i in range(K):
        t = ntt([value << 13 for value in t1[i]])
        row = [-c[n] * t[n] for n in range(256)]
        for j in range(4):
            a = expand_matrix_entry(rho, j, i)
            row = [row[n] + a[n] * z[j][n] for n in range(256)]
        w1 = [use_hint(n in hints[i], value) for n, value in enumerate(inverse_ntt([v % Q for v in row]))]
        encoded += sum(value << (6 * n) for n, value in enumerate(w1)).to_bytes(192, "little")
    return hashlib.shake_256(mu + encoded).digest(32) == challenge


# --- Notes, keys, checkpoints ----------------------------------------------------------------------------------

def decode64(text):
    """Base64 in its one form: padded, without set bits that are not used; None otherwise."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def is_key_name(name):
    return (1 <= len(name.encode()) <= NAME_BYTES_MAX and "+" not in name
            and not any(c < " " or c in WHITE_SPACE for c in name))


def number(text):
    """A decimal number up to 2^63 - 1 without sign and leading zeroes; None otherwise."""
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text) or int(text) > SIZE_MAX:
        return None
    return int(text)


def hash64(text):
    data = decode64(text)
    return data if data is not None and len(data) == 32 else None


class Key:
    """A verifier key: <name>+<key ID>+base64(type || public key)."""

    def __init__(self, text):
        self.text = text
        parts = text.split("+", 2)
        if len(parts) != 3 or not is_key_name(parts[0]) or not re.fullmatch("[0-9a-f]{8}", parts[1]):
            raise Malformed("not a verifier key")
        typed = decode64(parts[2])
        if not typed:
            raise Malformed("not a verifier key")
        self.name, self.kind, self.material = parts[0], typed[0], typed[1:]
        good = {
            ED25519: lambda key: len(key) == 32 and ed_good(ed_decode(key)),
            COSIGNATURE: lambda key: len(key) == 32 and ed_good(ed_decode(key)),
            ECDSA_P256: lambda key: p256_point(key) is not None,
            TREE_HEAD: lambda key: p256_point(key) is not None,
            ML_DSA_44: lambda key: len(key) == 1312,
        }.get(self.kind)
        if good is None or not good(self.material):
            raise Malformed("the key is not of a known type, or is not a good one")
        prefix = self.name.encode() + b"\n" + bytes([self.kind])
        hashed = {ECDSA_P256: self.material, TREE_HEAD: prefix + hashlib.sha256(self.material).digest()}
        self.id = hashlib.sha256(hashed.get(self.kind, prefix + self.material)).digest()[:4]
        if self.id.hex() != parts[1]:
            raise Malformed("the key ID does not belong to the key")

    def role(self, origin):
        if self.kind in (ED25519, ECDSA_P256) or (self.kind == ML_DSA_44 and self.name == origin):
            return "log"
        return "witness" if self.kind in (COSIGNATURE, ML_DSA_44) else None


class SignedHead:
    """A checkpoint and the accused's signature under it, from their two blocks of lines."""

    def __init__(self, text, signature, accused):
        if len(text) < 3:
            raise Malformed("a checkpoint has three lines or more")
        self.origin, self.size, self.root = text[0], number(text[1]), hash64(text[2])
        if len(self.origin.encode()) > NAME_BYTES_MAX or self.size is None or self.root is None:
            raise Malformed("a checkpoint is origin, size and root")
        if accused.kind == ML_DSA_44 and len(text) > 3:
            raise Malformed("extension lines that no signature covers")
        self.text = "".join(line + "\n" for line in text)
        if len(self.text.encode()) + sum(len(line.encode()) + 1 for line in signature) + 1 > NOTE_BYTES_MAX:
            raise Malformed("the checkpoint is longer than a note")
        parts = re.fullmatch("\u2014 ([^ ]+) ([^ ]+)", signature[0])
        blob = decode64(parts[2]) if parts and len(signature) == 1 else None
        if blob is None or len(blob) < 5 or parts[1] != accused.name or blob[:4] != accused.id:
            raise Malformed("the signature is not one by the accused key")
        self.signature = blob[4:]

    def holds(self, key):
        text, signature = self.text.encode(), self.signature
        if key.kind == ED25519:
            return verify_ed25519(key.material, text, signature)
        if key.kind == ECDSA_P256:
            return verify_p256(key.material, text, signature)
        if len(signature) < 8:
            return False
        time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        if time > SIZE_MAX:
            return False
        if key.kind == COSIGNATURE:
            return verify_ed25519(key.material, b"cosignature/v1\ntime %d\n" % time + text, signature)
        name, origin = key.name.encode(), self.origin.encode()
        message = (b"subtree/v1\n\0" + bytes([len(name)]) + name + time.to_bytes(8, "big")
                   + bytes([len(origin)]) + origin + bytes(8) + self.size.to_bytes(8, "big") + self.root)
        return verify_ml_dsa_44(key.material, message, signature)


# --- Proofs ----------------------------------------------------------------------------------------------------

def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def proof_holds(start, end, content, size, root, proof):
    """Whether the complete subtree [start, end) with this hash is in the tree, by all hashes of the proof."""
    if end > size:
        return False
    sides, low, high = [], 0, size
    while (low, high) != (start, end):
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if end <= middle:
            high = middle
        else:
            low = middle
        sides.append(end <= middle)
    if len(sides) != len(proof):
        return False
    for is_left, other in zip(reversed(sides), proof):
        content = node_hash(content, other) if is_left else node_hash(other, content)
    return content == root


# --- Evidence --------------------------------------------------------------------------------------------------

def split(data):
    """The blocks of lines of a file."""
    if len(data) > FILE_BYTES_MAX:
        raise Malformed("the file is too long")
    first = data.split(b"\n")[0]
    if first != b"daybook/evidence/v1":
        if first.startswith(b"daybook/alarm/"):
            raise Malformed("an alarm report, which proves nothing against anyone")
        raise Malformed("not an evidence file, or one of a later version")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    if any(c < " " and c != "\n" for c in text) or not text.endswith("\n"):
        raise Malformed("control characters, or no newline at the end")
    blocks = [block.split("\n") for block in text[:-1].split("\n\n")]
    if len(blocks) > BLOCKS_MAX or any(line == "" for block in blocks for line in block):
        raise Malformed("more than one empty line between blocks, or too many blocks")
    return blocks


def value(block, at, keyword):
    if len(block) <= at or not block[at].startswith(keyword + " "):
        raise Malformed(f"expected a line `{keyword} ...`")
    return block[at][len(keyword) + 1:]


def parse_content(line, entries):
    """The bytes that are hashed at a place: of `entry` the leaf hash, of `hash` the hash."""
    if entries and line.startswith("entry "):
        entry = decode64(line[6:])
        if entry is not None and len(entry) <= ENTRY_BYTES_MAX:
            return leaf_hash(entry)
    content = hash64(line[5:]) if line.startswith("hash ") else None
    if content is None:
        raise Malformed("expected a hash or an entry")
    return content


def parse_place(header, what):
    if what == "two-leaves":
        index = number(value(header, 3, "index"))
        if index is None or index >= SIZE_MAX:
            raise Malformed("the index is no number")
        return index, index + 1
    parts = [number(part) for part in value(header, 3, "subtree").split(" ", 1)]
    if len(parts) != 2 or None in parts:
        raise Malformed("a subtree is two numbers")
    width = parts[1] - parts[0]
    if width <= 0 or width & (width - 1) or parts[0] % width:
        raise Malformed("not a complete subtree")
    return parts[0], parts[1]


# --- Evidence about records --------------------------------------------------------------------------------------

def parse_entry(block):
    """An entry and its inclusion proof."""
    entry = decode64(value(block, 0, "entry"))
    proof = [hash64(line) for line in block[1:]]
    if entry is None or len(entry) > ENTRY_BYTES_MAX:
        raise Malformed("expected an entry")
    if len(proof) > PROOF_HASHES_MAX or None in proof:
        raise Malformed("a proof is at most 63 hashes")
    return entry, proof


def key_or_none(text):
    try:
        return Key(text)
    except Malformed:
        return None


def signed_by(statement, key):
    return any((name, key_id) == (key.name, key.id) for name, key_id, _ in statement.signatures)


def signature_holds(statement, key):
    """Whether the signature that bears this key's name and ID is by it."""
    verify = verify_ed25519 if key.kind == ED25519 else verify_p256
    return all(verify(key.material, statement.text.encode(), signature)
               for name, key_id, signature in statement.signatures if (name, key_id) == (key.name, key.id))


def alone(genesis, later):
    """In which way an entry cannot be in the log of this genesis, whatever else is in it."""
    if later.kind == "genesis":
        return "record-genesis"
    if later.body["log"] != genesis.body["log"]:
        return "record-other-log"
    owners = [later.agency]
    if later.kind == "agency" and later.body["action"] in ("enrol", "revoke", "recover"):
        owners.append(genesis.agency)
    if any(not any(records.owns(owner, name) for owner in owners) for name, _, _ in later.signatures):
        return "record-foreign-key"
    return None


def pair(earlier, later):
    """In which way two entries rule each other out."""
    if earlier.text == later.text:
        return "record-repeated"
    if earlier.chain() == later.chain() and earlier.previous == later.previous:
        return "record-forked-chain"
    renews = (later.kind == "agency" and later.body["action"] == "delegate" and earlier.agency == later.agency)
    before = {key.material for key in earlier.brings_in()}
    if not renews and any(key.material in before for key in later.brings_in()):
        return "record-key-twice"
    if any(signed_by(later, key) for key in earlier.ends()):
        return "record-ended-key"
    seen, keys = set(), []
    for key in earlier.brings_in() + later.brings_in():
        if (key.name, key.id) not in seen:
            seen.add((key.name, key.id))
            keys.append(key)
    return "record-bad-signature" if any(not signature_holds(later, key) for key in keys) else None


def find(origin, entries):
    """The form of the contradiction between the entries; raises ProvesNothing if there is none."""
    nothing = ProvesNothing("these entries alone do not rule each other out")

    def parse(entry):
        try:
            return records.Statement(entry, key_or_none, is_key_name, decode64)
        except (records.NoStatement, records.NewerKind) as error:
            return error

    parsed = [parse(entry) for entry in entries]
    genesis, *between, later = parsed
    if not isinstance(genesis, records.Statement) or genesis.kind != "genesis" or genesis.body["log"] != origin:
        raise ProvesNothing("entry 0 is no genesis of this log, which is then no log of records")
    if isinstance(later, records.NewerKind) and not between:
        raise ProvesNothing("a statement of a version that is not known here")
    if isinstance(later, records.NoStatement) and not between:
        return "record-malformed"
    if not all(isinstance(statement, records.Statement) for statement in parsed):
        raise nothing
    found = (alone(genesis, later) if not between else None) or pair(between[0] if between else genesis, later)
    if found is None:
        raise nothing
    return found


def check_records(header, blocks, keys):
    """What a file about records proves; raises Malformed or ProvesNothing."""
    if records is None:
        raise Malformed("a form about records: put record_statement.py beside this program")
    form, accused = header[1][5:], Key(value(header, 2, "accused"))
    places = [number(part) for part in value(header, 3, "entries").split(" ")]
    ascending = None not in places and all(a < b for a, b in zip(places, places[1:]))
    if not 2 <= len(places) <= 3 or not ascending or places[0] != 0 or places[-1] == SIZE_MAX:
        raise Malformed("expected two or three ascending numbers of entries, the first of them 0")
    if len(header) != 4 or len(blocks) != 2 + len(places):
        raise Malformed("too many or too few lines or blocks for this form")
    head = SignedHead(blocks[0], blocks[1], accused)
    entries = [parse_entry(block) for block in blocks[2:]]
    if accused.text not in [key.text for key in keys]:
        raise ProvesNothing(f"it accuses another key: {accused.text}")
    if accused.role(head.origin) != "log":
        raise ProvesNothing("the accused key does not sign as a log")
    for place, (entry, proof) in zip(places, entries):
        if not proof_holds(place, place + 1, leaf_hash(entry), head.size, head.root, proof):
            raise ProvesNothing(f"the proof of entry {place} does not hold")
    if not head.holds(accused):
        raise ProvesNothing("the signature does not hold")
    found = find(head.origin, [entry for entry, _ in entries])
    if found != form:
        raise ProvesNothing(f"the entries rule each other out as {found}, not as the file says")
    at = " and ".join(f"entry {place}" for place in places[1:])
    return "\n".join([f"the log key {accused.name}+{accused.id.hex()} has signed a tree of {head.origin} that its own "
                      f"rules rule out ({RECORD_FORMS[form]}):",
                      f"  {at} of {head.size}, under the root {base64.b64encode(head.root).decode()}"])


# --- Any file ----------------------------------------------------------------------------------------------------

def check(data, keys):
    """What the file proves; raises Malformed or ProvesNothing."""
    header, *blocks = split(data)
    form = value(header, 1, "form")
    if form in RECORD_FORMS:
        return check_records(header, blocks, keys)
    known = re.fullmatch("(log|witness)-(two-roots|two-subtrees|two-leaves)", form)
    if not known:
        raise Malformed("a form that this program does not know")
    return check_trees(header, blocks, keys, known[1], known[2])


def check_trees(header, blocks, keys, role, what):
    """What a file about trees proves; raises Malformed or ProvesNothing."""
    lines, count = (3, 2) if what == "two-roots" else (4, 3)
    if len(header) != lines or len(blocks) != 2 * count:
        raise Malformed("too many or too few lines or blocks for this form")
    accused = Key(value(header, 2, "accused"))
    place = None if what == "two-roots" else parse_place(header, what)
    heads, contents, proofs = [], [], []
    for side in (blocks[:count], blocks[count:]):
        heads.append(SignedHead(side[0], side[1], accused))
        if place:
            contents.append(parse_content(side[2][0], what == "two-leaves"))
            proofs.append([hash64(line) for line in side[2][1:]])
    if any(len(proof) > PROOF_HASHES_MAX or None in proof for proof in proofs):
        raise Malformed("a proof is at most 63 hashes")
    if accused.role(heads[0].origin) != role:
        raise Malformed("the key is not one of the accused's role")
    if (heads[0].size, heads[0].root) > (heads[1].size, heads[1].root):
        raise Malformed("the smaller tree comes first")

    if accused.text not in [key.text for key in keys]:
        raise ProvesNothing(f"it accuses another key: {accused.text}")
    if heads[0].origin != heads[1].origin:
        raise ProvesNothing("the checkpoints are of two logs")
    if heads[0].size == 0 or heads[1].size == 0:
        raise ProvesNothing("an empty tree contradicts nothing")
    if (heads[0].size, heads[0].root) == (heads[1].size, heads[1].root):
        raise ProvesNothing("both checkpoints speak of the same tree")
    if place is None and heads[0].size != heads[1].size:
        raise ProvesNothing("trees of two sizes have two roots")
    if place and contents[0] == contents[1]:
        raise ProvesNothing("both trees hold the same there")
    for head, content, proof in zip(heads, contents, proofs):
        if not proof_holds(*place, content, head.size, head.root, proof):
            raise ProvesNothing("a proof does not hold")
    if not all(head.holds(accused) for head in heads):
        raise ProvesNothing("a signature does not hold")
    said = [f"  {at}. a tree of {head.size} entries with the root {base64.b64encode(head.root).decode()}"
            for at, head in zip((1, 2), heads)]
    where = {
        "two-roots": "one size, two roots",
        "two-subtrees": f"entries {place[0]} to {place[1] - 1} differ" if place else "",
        "two-leaves": f"entry {place[0]} differs" if place else "",
    }[what]
    signed = "signed" if role == "log" else "cosigned"
    return "\n".join([f"the {role} key {accused.name}+{accused.id.hex()} has {signed} two contradicting trees of "
                      f"{heads[0].origin} ({where}):", *said])


def main(arguments):
    files, keys, at = [], [], 0
    while at < len(arguments):
        if arguments[at] == "--key" and at + 1 < len(arguments):
            try:
                keys.append(Key(arguments[at + 1]))
            except Malformed as error:
                print(f"--key: {error}", file=sys.stderr)
                return 2
            at += 2
        else:
            files.append(arguments[at])
            at += 1
    if not files or not keys or any(name.startswith("--") for name in files):
        print(__doc__, file=sys.stderr)
        return 2
    worst = 0
    for name in files:
        try:
            with open(name, "rb") as file:
                print(f"PROVED: {name}: {check(file.read(FILE_BYTES_MAX + 1), keys)}")
        except ProvesNothing as error:
            worst = max(worst, 1)
            print(f"NOT PROVED: {name}: {error}")
        except Malformed as error:
            worst = max(worst, 2)
            print(f"MALFORMED: {name}: {error}")
        except OSError as error:
            worst = max(worst, 3)
            print(f"error: {name}: {error}")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
