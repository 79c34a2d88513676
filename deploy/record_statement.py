"""Statements of logs of records, parsed in their one form: docs/spec/record.md, sections 1 and 2.

Used by verify_evidence.py, beside which it must lie. Nothing but Python's standard library; written from the
specification.
"""

import json
import re
from datetime import date

STATEMENT_BYTES_MAX = 65535
SIGNATURES_MAX = 64
INTEGER_MAX = 2**53 - 1
NESTED_VALUES_MAX = 33
FIELDS_MAX = 256
LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
KEY_LABEL = "[a-z0-9]([a-z0-9._-]*[a-z0-9])?"
TOKEN = "[a-z0-9!#$&^_.+-]+"
KINDS = ("genesis", "agency", "register", "record", "tombstone", "dispute")
TYPES = ("any", "boolean", "date", "decimal", "integer", "list", "number", "object", "string", "time")
CLASSES = ("public", "sealed", "erasable")


class NoStatement(Exception):
    """The bytes are no statement, or not in its one form."""


class NewerKind(Exception):
    """A kind of a later version, perhaps."""


# --- JSON in the form of RFC 8785, section 2 ---------------------------------------------------------------------

def number_text(value):
    """ECMAScript's Number::toString of a double."""
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        text = digits + "0" * (point - count)
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        rest = "." + digits[1:] if count > 1 else ""
        text = f"{digits[0]}{rest}e{point - 1:+d}"
    return "-" + text if value < 0 else text


def string_text(value):
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    return '"' + "".join(short.get(c) or (c if c >= " " else f"\\u{ord(c):04x}") for c in value) + '"'


def canonical(value, depth=1):
    if depth > NESTED_VALUES_MAX:
        raise NoStatement("values are nested too deep")
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{string_text(name)}:{canonical(value[name], depth + 1)}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, float):
        if value != value or abs(value) == float("inf") or (value.is_integer() and abs(value) > INTEGER_MAX):
            raise NoStatement("a number that a double does not hold")
        return number_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > INTEGER_MAX:
            raise NoStatement("an integer beyond 2^53 - 1")
        return str(value)
    return {None: "null", True: "true", False: "false"}[value]


def parse_json(text):
    def no_constant(word):
        raise NoStatement(f"{word} is no JSON")

    try:
        value = json.loads(text, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise NoStatement(f"not JSON: {error}") from None
    if canonical(value) != text:
        raise NoStatement("JSON that is not in its canonical form")
    return value


# --- Values, section 1.1 -----------------------------------------------------------------------------------------

def is_agency(value):
    return isinstance(value, str) and len(value) <= 100 and all(re.fullmatch(LABEL, part) for part in value.split("."))


def is_register(value):
    return isinstance(value, str) and len(value) <= 64 and re.fullmatch(LABEL, value) is not None


def owns(agency, name):
    """Whether a key of this name is the agency's."""
    label = name[len(agency) + 1:]
    return name.startswith(agency + "/") and len(label) <= 64 and re.fullmatch(KEY_LABEL, label) is not None


def is_hex(digits):
    return lambda value: isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value) is not None


def is_date(value):
    match = isinstance(value, str) and re.fullmatch("([0-9]{4})-([0-9]{2})-([0-9]{2})", value)
    try:
        return bool(match) and bool(date(*map(int, match.groups())))
    except ValueError:
        return False


def is_time(value):
    clock = "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
    return isinstance(value, str) and is_date(value[:10]) and re.fullmatch(clock, value[10:]) is not None


def is_integer(least, most):
    return lambda value: type(value) in (int, float) and value == int(value) and least <= value <= most


def one_of(*words):
    return lambda value: isinstance(value, str) and value in words


def is_object(value):
    return isinstance(value, dict)


def is_media(value):
    return is_line(value) and re.fullmatch(f"{TOKEN}/{TOKEN}", value) is not None


def is_erased(value):
    if value == "/sealed":
        return True
    room, _, segment = value[1:].partition("/") if isinstance(value, str) and value.startswith("/") else ("", "", "")
    escapes = re.fullmatch("([^~/]|~0|~1)+", segment) is not None
    name = segment.replace("~1", "/").replace("~0", "~")
    return room in ("attachments", "erasable", "sealed") and escapes and is_line(name)


def is_previous(value):
    return value is None or is_hex(64)(value)


def list_of(least, most, is_good, order=None):
    def check(value):
        good = isinstance(value, list) and least <= len(value) <= most and all(is_good(item) for item in value)
        if not good or order is None:
            return good
        keys = [order(item) for item in value]
        return all(a < b for a, b in zip(keys, keys[1:]))
    return check


def map_of(least, most, is_good):
    return lambda value: (is_object(value) and least <= len(value) <= most
                          and all(is_line(name) and is_good(item) for name, item in value.items()))


def text_of(length):
    """1 to so many bytes without control characters, U+2028, U+2029, and white space at either end."""
    blank = "".join(map(chr, [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
                              0x202F, 0x205F, 0x3000]))

    def check(value):
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= length or value.strip(blank) != value:
            return False
        return not any(c < " " or "\x7f" <= c <= "\x9f" or c in "\u2028\u2029" for c in value)
    return check


is_line, is_key, is_reason = text_of(512), text_of(256), text_of(4096)


def is_origin(value):
    return isinstance(value, str) and 1 <= len(value.encode()) <= 255 and not any(c < " " for c in value)


def members(value, required, optional=()):
    """Whether an object has exactly these members, each of them good."""
    if not is_object(value):
        return False
    known = {**required, **dict(optional)}
    return (set(required) <= set(value) <= set(known)) and all(known[name](item) for name, item in value.items())


# --- Bodies, sections 1.3 to 1.8 ---------------------------------------------------------------------------------

class Keys:
    """The rules about keys, given a function that parses a verifier key, or gives None."""

    def __init__(self, parse_key):
        self.parse = parse_key

    def is_key(self, value):
        key = self.parse(value) if isinstance(value, str) else None
        return key is not None and key.kind in (1, 2)

    def of(self, agency):
        return lambda value: self.is_key(value) and owns(agency, self.parse(value).name)

    def list(self, agency, least):
        return list_of(least, 32, self.of(agency), order=lambda key: key)

    def grants(self, agency, least):
        def is_grant(value):
            return members(value, {"key": self.of(agency), "role": one_of("officer", "publisher")})
        return list_of(least, 32, is_grant, order=lambda grant: self.parse(grant["key"]).name)

    def set(self, agency, body, others):
        """Whether a body has a key set, these other members, and no more."""
        required = {"keys": self.grants(agency, 1), "quorum": is_integer(1, 32), **others}
        if not members(body, required, {"recovery": self.of(agency)}):
            return False
        return body["quorum"] <= sum(grant["role"] == "officer" for grant in body["keys"])


def agency_body(body, common, keys):
    agency, action = body.get("agency"), body.get("action")
    if not is_agency(agency):
        return False
    common = {**common, "agency": is_agency, "action": is_line, "previous": is_previous}
    if action == "enrol":
        return keys.set(agency, body, {**common, "title": is_line})
    if action == "recover":
        return keys.set(agency, body, {**common, "reason": is_reason})
    if action == "revoke":
        return members(body, {**common, "keys": keys.list(agency, 1), "reason": is_reason})
    if action == "rotate":
        changes = {"add": keys.grants(agency, 0), "retire": keys.list(agency, 0), "quorum": is_integer(1, 32)}
        return members(body, {**common, **changes}, {"recovery": keys.of(agency)})
    registers = list_of(1, 64, is_register, order=lambda register: register)
    delegation = {"key": keys.of(agency), "registers": registers, "until": is_time}
    return action == "delegate" and members(body, {**common, **delegation})


def is_rule(value):
    required = {"class": one_of(*CLASSES), "type": one_of(*TYPES)}
    return (members(value, required, {"required": lambda flag: flag is True})
            and not (value["class"] == "sealed" and "required" in value))


def is_calendar(value):
    every = one_of("day", "week", "month", "quarter", "year")
    return members(value, {"every": every, "first": is_date, "grace_days": is_integer(0, 366)})


def register_body(body, common, _keys):
    required = {"agency": is_agency, "register": is_register, "previous": is_previous, "title": is_line,
                "licence": is_line, "approvals": is_integer(0, 16), "keys": one_of("opaque", "public"),
                "fields": map_of(0, FIELDS_MAX, is_rule)}
    classes = list_of(1, 2, one_of("erasable", "public"), order=lambda word: word)
    optional = {"prefix": is_line, "schema": is_line, "attachments": classes, "calendar": is_calendar}
    return members(body, {**common, **required}, optional) and not (body["keys"] == "opaque" and "prefix" in body)


def is_sealed(value):
    required = {"leaves": is_integer(16, 1024), "nonce": is_hex(32), "root": is_hex(64)}
    return members(value, required) and int(value["leaves"]) & (int(value["leaves"]) - 1) == 0


def is_attachment(value):
    required = {"bytes": is_integer(0, INTEGER_MAX), "media": is_media, "name": is_line}
    return any(members(value, {**required, which: is_hex(64)}) for which in ("sha256", "commitment"))


def record_body(body, common, _keys):
    common = {**common, "agency": is_agency, "register": is_register, "key": is_key, "previous": is_previous}
    if "action" in body:
        return members(body, {**common, "action": one_of("withdraw")})
    attachments = list_of(1, 64, is_attachment, order=lambda attachment: attachment["name"])
    optional = {"title": is_line, "schema": is_line, "sealed": is_sealed, "attachments": attachments,
                "erasable": map_of(1, FIELDS_MAX, is_hex(64))}
    return members(body, {**common, "public": is_object}, optional)


def tombstone_body(body, common, _keys):
    def is_entry(value):
        return members(value, {"index": is_integer(0, INTEGER_MAX), "leaf": is_hex(64)})
    erased = list_of(1, 512, is_erased, order=lambda pointer: pointer)
    required = {"agency": is_agency, "register": is_register, "key": is_key, "previous": is_previous,
                "entry": is_entry, "erased": erased, "basis": is_reason}
    return members(body, {**common, **required})


def dispute_body(body, common, keys):
    index = is_integer(0, INTEGER_MAX)
    required = {"agency": is_agency, "previous": is_previous, "key": keys.is_key, "from": index, "to": index,
                "reason": is_reason}
    return members(body, {**common, **required})


def genesis_body(body, common, keys):
    registrar = body.get("registrar")
    return is_agency(registrar) and keys.set(registrar, body, {**common, "registrar": is_agency, "title": is_line})


BODIES = {"genesis": genesis_body, "agency": agency_body, "register": register_body, "record": record_body,
          "tombstone": tombstone_body, "dispute": dispute_body}


class Statement:
    """A statement: kind, body, text, and signatures as (name, key ID, signature)."""

    def __init__(self, data, parse_key, is_key_name, decode64):
        self.parse_key = parse_key
        self.text, self.signatures = self.split(data, is_key_name, decode64)
        lines = self.text[:-1]
        first, newline, rest = lines.partition("\n")
        if not newline:
            raise NoStatement("the text of a statement is two lines")
        word = re.fullmatch("daybook/(.*)/v1", first, re.DOTALL)
        if not word or word[1] not in KINDS:
            raise NewerKind(first) if first.startswith("daybook/") else NoStatement("the first line is no kind")
        if "\n" in rest:
            raise NoStatement("the text of a statement is two lines")
        self.kind, self.body = word[1], parse_json(rest)
        common = {"at": is_time, "log": is_origin}
        if not is_object(self.body) or not BODIES[self.kind](self.body, common, Keys(parse_key)):
            raise NoStatement(f"its members are not those of a {self.kind}")
        self.agency = self.body["registrar" if self.kind == "genesis" else "agency"]
        self.previous = self.body.get("previous")

    @staticmethod
    def split(data, is_key_name, decode64):
        if len(data) > STATEMENT_BYTES_MAX:
            raise NoStatement("it is too long")
        try:
            note = data.decode("utf-8")
        except UnicodeDecodeError:
            raise NoStatement("not UTF-8") from None
        text, blank, lines = note.rpartition("\n\n")
        if any(c < " " and c != "\n" for c in note) or not blank or not lines.endswith("\n"):
            raise NoStatement("not a signed note")
        signatures = []
        for line in lines[:-1].split("\n"):
            match = re.fullmatch("\u2014 ([^ ]+) (.*)", line)
            blob = decode64(match[2]) if match and is_key_name(match[1]) else None
            if blob is None or len(blob) < 5:
                raise NoStatement("a line that is no signature")
            signatures.append((match[1], blob[:4], blob[4:]))
        order = [(name.encode(), key_id) for name, key_id, _ in signatures]
        if len(order) > SIGNATURES_MAX or any(a >= b for a, b in zip(order, order[1:])):
            raise NoStatement("too many signatures, or not sorted")
        return text + "\n", signatures

    def chain(self):
        body = self.body
        return {
            "genesis": ("agency", self.agency),
            "agency": ("agency", self.agency),
            "register": ("register", self.agency, body.get("register")),
            "record": ("record", self.agency, body.get("register"), body.get("key")),
            "tombstone": ("tombstones", body["entry"]["leaf"] if self.kind == "tombstone" else None),
            "dispute": ("disputes", self.agency),
        }[self.kind]

    def brings_in(self):
        """The keys that it brings in."""
        body, action = self.body, self.body.get("action")
        if self.kind != "genesis" and self.kind != "agency" or action == "revoke":
            return []
        if action == "delegate":
            return [self.parse_key(body["key"])]
        grants = body["add"] if action == "rotate" else body["keys"]
        keys = [grant["key"] for grant in grants] + ([body["recovery"]] if "recovery" in body else [])
        return [self.parse_key(key) for key in keys]

    def ends(self):
        """The keys that it names as ended."""
        action = self.body.get("action") if self.kind == "agency" else None
        keys = {"rotate": "retire", "revoke": "keys"}.get(action)
        return [self.parse_key(key) for key in self.body[keys]] if keys else []
