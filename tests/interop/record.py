"""Checks tests/vectors/record with code of its own: Python and the `cryptography` package.

    python3 tests/interop/record.py [folder]

Written after docs/spec/record.md alone. Ends with status 1 and the failing case if anything differs.
"""

import base64
import hashlib
import json
import struct
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

FOLDER = sys.argv[1] if len(sys.argv) > 1 else "tests/vectors/record"


def sha256(data):
    return hashlib.sha256(data).digest()


def load(name):
    with open(f"{FOLDER}/{name}.json", encoding="utf-8") as file:
        return json.load(file)


def require(holds, what):
    if not holds:
        sys.exit(f"does not hold: {what}")


def canonical(value):
    """RFC 8785 for what the vectors contain: no fractions but those below 1e-6."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return repr(value).replace("e-0", "e-")
    return json.dumps(value, ensure_ascii=False)


def keys_in(value):
    """Every verifier key that stands somewhere in a value."""
    if isinstance(value, str) and value.count("+") >= 2 and "/" in value.split("+")[0]:
        name, key_id, material = value.split("+", 2)
        yield (name, key_id), base64.b64decode(material)
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from keys_in(member)


def verify(key, signature, message):
    if key[0] == 0x01:
        ed25519.Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature, message)
    else:
        public = serialization.load_der_public_key(key[1:])
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))


def chain(kind, body):
    parts = {
        "genesis": ("agency", "registrar"),
        "agency": ("agency", "agency"),
        "register": ("register", "agency", "register"),
        "record": ("record", "agency", "register", "key"),
        "dispute": ("disputes", "agency"),
    }
    if kind == "tombstone":
        lines = ["tombstones", body["entry"]["leaf"]]
    else:
        word, *members = parts[kind]
        lines = [word] + [body[member] for member in members]
    return sha256(("daybook/chain/v1\n" + "".join(line + "\n" for line in lines)).encode())


def check_statements():
    vectors = load("statements")
    keys = dict(keys_in([key["verifier_key"] for key in vectors["keys"]]))
    signatures = 0
    for entry in vectors["log"]:
        leaf = entry["leaf"]
        require(sha256(b"\0" + leaf.encode()).hex() == entry["leaf_hash"], leaf)
        text, lines = leaf.rsplit("\n\n", 1)
        text += "\n"
        require(sha256(text.encode()).hex() == entry["identity"], leaf)
        first, second, _ = text.split("\n")
        body = json.loads(second)
        require(canonical(body) == second, second)
        require(chain(first.split("/")[1], body).hex() == entry["chain"], leaf)
        keys.update(keys_in(body))
        for line in lines.strip("\n").split("\n"):
            _, name, blob = line.split(" ")
            raw = base64.b64decode(blob)
            verify(keys[(name, raw[:4].hex())], raw[4:], text.encode())
            signatures += 1
    print(f"statements: {len(vectors['log'])} entries, {signatures} signatures")


def sealed_leaf(nonce, name, kind, salt, value):
    return sha256(b"\0" + f"daybook/sealed/v1\n{nonce}\n{name}\n{kind}\n{salt}\n{value}\n".encode())


def discloses(document):
    shown = json.loads(document.split("\n")[1])
    sealed = json.loads(shown["statement"].split("\n")[1])["sealed"]
    level = {}
    for field in shown["fields"]:
        value = canonical(field["value"])
        level[field["place"]] = sealed_leaf(sealed["nonce"], field["name"], field["type"], field["salt"], value)
    proof = [bytes.fromhex(text) for text in shown["proof"]]
    width = sealed["leaves"]
    while width > 1:
        for place in sorted(level):
            if place ^ 1 not in level:
                level[place ^ 1] = proof.pop(0)
        level = {at // 2: sha256(b"\1" + level[at] + level[at + 1]) for at in sorted(level) if at % 2 == 0}
        width //= 2
    return not proof and level[0].hex() == sealed["root"]


def check_sealed():
    vectors = load("sealed")
    kept = json.loads(vectors["kept"].split("\n")[1])
    nonce = kept["nonce"]
    level = [sealed_leaf(nonce, f["name"], f["type"], f["salt"], canonical(f["value"])) for f in kept["fields"]]
    level += [sealed_leaf(nonce, "", "", salt, "") for salt in kept["padding"]]
    level.sort()
    require(len(level) == vectors["commitment"]["leaves"], "the number of leaves")
    while len(level) > 1:
        level = [sha256(b"\1" + level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    require(level[0].hex() == vectors["commitment"]["root"], "the sealed root")
    for case in vectors["disclosures"]:
        require(discloses(case["document"]), case["fields"])
    for case in vectors["refused"]:
        if case["code"] in ("sealed_root", "proof_length"):
            require(not discloses(case["document"]), case["name"])
    print(f"sealed: {len(vectors['disclosures'])} disclosures hold, the altered ones do not")


def hchacha20(key, nonce):
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def rotate(word, bits):
        return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF

    def quarter(a, b, c, d):
        for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            state[z] = rotate(state[z] ^ state[x], bits)

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for column in range(4):
            quarter(column, (column + 1) % 4 + 4, (column + 2) % 4 + 8, (column + 3) % 4 + 12)
    return struct.pack("<8I", *state[:4], *state[12:])


def stored(secret, nonce, commitment, plain):
    out = b"DBVALUE1" + nonce
    chunks = [plain[at : at + 65536] for at in range(0, len(plain), 65536)] or [b""]
    for number, chunk in enumerate(chunks):
        full = nonce + struct.pack(">I", number) + bytes([number == len(chunks) - 1])
        cipher = ChaCha20Poly1305(hchacha20(secret, full[:16]))
        out += cipher.encrypt(bytes(4) + full[16:], chunk, b"DBVALUE1" + commitment)
    return out


def check_erasable():
    vectors = load("erasable")
    place = f"{vectors['agency']}\n{vectors['register']}\n{vectors['key']}\n"
    field = json.loads(vectors["field"]["kept"].split("\n")[1])
    lines = f"{field['name']}\n{field['type']}\n{field['salt']}\n{canonical(field['value'])}\n"
    commitment = sha256(f"daybook/erasable/v1\n{place}{lines}".encode())
    require(commitment.hex() == vectors["field"]["commitment"], "the field's commitment")
    file = vectors["attachment"]
    lines = f"{file['name']}\n{file['media']}\n{file['bytes']}\n{file['salt']}\n{file['sha256']}\n"
    commitment = sha256(f"daybook/attachment/v1\n{place}{lines}".encode())
    require(commitment.hex() == file["commitment"], "the attachment's commitment")
    for case in vectors["stored"]:
        secret, nonce, bound = (bytes.fromhex(case[name]) for name in ("secret", "nonce", "commitment"))
        if "file" in case:
            made = stored(secret, nonce, bound, case["plain"].encode())
            require(made.hex() == case["file"], "a stored value")
        else:
            made = stored(secret, nonce, bound, b"a" * 65537)
            require(sha256(made).hex() == case["file_sha256"], "a stored value of two chunks")
    print(f"erasable: 2 commitments, {len(vectors['stored'])} stored values")


check_statements()
check_sealed()
check_erasable()
