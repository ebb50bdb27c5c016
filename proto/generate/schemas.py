"""The supported part of JSON Schema 2020-12, as a model from which C, OpenAPI and the docs are made.

Each kind names the keywords that it understands; any other keyword is an error, so nothing that a
contract says is silently left unchecked by the decoder.
"""
from dataclasses import dataclass, field

from contract import shout, snake

ANNOTATIONS = ("type", "description", "title", "examples", "deprecated", "readOnly", "x-origin", "$comment")
KEYWORDS = {
    "string": ("minLength", "maxLength", "enum", "const", "format"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "boolean": (),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties", "x-max-bytes", "x-tool"),
}
# format -> (kind, constant of enum cm_format)
FORMATS = {
    "date-time": ("time", None),
    "date": ("date", None),
    "uuid": ("uuid", None),
    "email": ("string", "CM_FORMAT_EMAIL"),
    "uri": ("string", "CM_FORMAT_URI"),
    "x-time-zone": ("string", "CM_FORMAT_TIME_ZONE"),
    "x-language": ("string", "CM_FORMAT_LANGUAGE"),
    "x-clock-time": ("string", "CM_FORMAT_CLOCK_TIME"),
    "x-line": ("string", "CM_FORMAT_LINE"),
    "x-key": ("string", "CM_FORMAT_LINE"),  # http/idempotency.h looks closer
}
MAX_MEMBERS = 64  # the decoder keeps one bit for each
EXACT_INTEGER = 2 ** 53
C_WORDS = set("""auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    bool true false asm typeof""".split())


@dataclass
class Member:
    name: str
    schema: "Schema"
    required: bool
    nullable: bool
    read_only: bool
    description: str = ""

    @property
    def c_name(self):
        name = snake(self.name)
        return name + "_" if name in C_WORDS else name

    @property
    def has(self):
        """Whether a presence byte stands beside it."""
        return not self.required or self.nullable


@dataclass
class Variant:
    value: str
    schema: "Schema"


@dataclass
class Schema:
    name: str       # as in proto/, for messages and documents
    c_name: str     # stem of everything in C
    place: object
    kind: str       # string integer number boolean enum time date uuid object array any one_of
    public: bool    # declared in the header
    description: str = ""
    nullable: bool = False
    format: str = None           # as in the contract
    c_format: str = None
    limits: dict = field(default_factory=dict)   # keyword -> number
    values: list = field(default_factory=list)   # enum
    constant: bool = False                       # enum made of a `const`
    members: list = field(default_factory=list)
    items: "Schema" = None
    unique: bool = False
    discriminator: str = None
    variants: list = field(default_factory=list)

    def constants(self):
        """(C name, value) of an enumeration or of the kinds of a one-of, numbered from 1."""
        if self.kind == "one_of":
            return [(f"{shout(self.c_name)}_KIND_{shout(v.value)}", v.value) for v in self.variants]
        return [(f"{shout(self.c_name)}_{shout(value)}", value) for value in self.values]

    def member(self, name):
        return next((m for m in self.members if m.name == name), None)


class Library:
    """All schemas of a generated file, dependencies first; `base` is the library they may refer to."""

    def __init__(self, contracts):
        self.contracts = contracts
        self.ordered = []
        self._named = {}
        self._c_names = {}

    def load_all(self):
        for name in self.contracts.files("schemas"):
            for key, place in self.contracts.root(name).children():
                if not is_response(place):
                    self.named(place)

    def named(self, place):
        """The schema of a top-level entry of a file in schemas/."""
        key = str(place)
        if key not in self._named:
            parts = place.path.split("/")
            if len(parts) != 2 or place.file.parts[-2] != "schemas":
                place.fail("only schemas at the top of a file in schemas/ can be referred to")
            self._named[key] = None
            self._named[key] = self.parse(place, parts[1], snake(parts[1]), public=True)
        if self._named[key] is None:
            place.fail("contains itself")
        return self._named[key]

    def reference(self, place):
        """The named schema that `$ref` means. Beside it only words for people may stand."""
        place.allow("$ref", "description", "x-origin", "readOnly")
        return self.named(self.contracts.resolve(place))

    def use(self, place, name, c_name):
        """A schema where it is used: a reference or one without a name of its own."""
        if "$ref" in place:
            return self.reference(place)
        return self.parse(place, name, c_name, public=False)

    def parse(self, place, name, c_name, public):
        schema = Schema(name, c_name, place, "", public, place.text("description", "") or "")
        if "oneOf" in place:
            self._parse_one_of(place, schema)
        else:
            kind = self._type_of(place, schema)
            place.allow(*ANNOTATIONS, *KEYWORDS[kind])
            if "x-tool" in place and not public:
                place.at("x-tool").fail("stands only at the top of a file in schemas/")
            getattr(self, "_parse_" + kind)(place, schema)
        if schema.kind in ("enum", "object", "one_of"):
            schema.public = True
            schema.c_name = schema.c_name.replace("__", "_")
        self._claim(schema)
        self.ordered.append(schema)
        return schema

    def _claim(self, schema):
        """C names are one name space, whatever file a schema stands in."""
        claims = [schema.c_name] + [constant for constant, _ in schema.constants()]
        for claim in claims:
            if claim in self._c_names:
                schema.place.fail(f"is called {claim} in C, and so is {self._c_names[claim]}")
            self._c_names[claim] = schema.place

    @staticmethod
    def _type_of(place, schema):
        kind = place.at("type").node
        if isinstance(kind, list):
            if len(kind) != 2 or kind[1] != "null":
                place.at("type").fail('must be one type, or [type, "null"]')
            schema.nullable = True
            kind = kind[0]
        if kind not in KEYWORDS:
            place.at("type").fail(f"{kind} is not supported")
        return kind

    def _parse_string(self, place, schema):
        schema.kind = "string"
        if "enum" in place or "const" in place:
            return self._parse_enum(place, schema)
        if "format" in place:
            schema.format = place.get("format")
            if schema.format not in FORMATS:
                place.at("format").fail(f"{schema.format} is not supported (known: {', '.join(FORMATS)})")
            schema.kind, schema.c_format = FORMATS[schema.format]
        if schema.kind != "string":
            for keyword in ("minLength", "maxLength"):
                if keyword in place:
                    place.at(keyword).fail(f"says nothing for format {schema.format}")
        self._counts(place, schema, "minLength", "maxLength")
        return None

    @staticmethod
    def _parse_enum(place, schema):
        for keyword in ("minLength", "maxLength", "format"):
            if keyword in place:
                place.at(keyword).fail("says nothing for an enumeration")
        if "enum" in place and "const" in place:
            place.fail("has both enum and const")
        schema.kind = "enum"
        schema.constant = "const" in place
        schema.values = [place.get("const")] if schema.constant else place.get("enum")
        if not isinstance(schema.values, list) or not schema.values:
            place.at("enum").fail("must be a list of texts")
        for value in schema.values:
            if not isinstance(value, str) or not shout(value):
                place.fail(f"value {value!r} must be text with letters or digits")
        if len({shout(value) for value in schema.values}) != len(schema.values):
            place.fail("has two values of one name in C")

    @staticmethod
    def _counts(place, schema, *keywords):
        for keyword in keywords:
            if keyword in place:
                value = place.get(keyword)
                if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                    place.at(keyword).fail("must be a whole number from 0")
                schema.limits[keyword] = value
        low, high = (schema.limits.get(keyword) for keyword in (keywords * 2)[:2])
        if len(keywords) == 2 and low is not None and high is not None and low > high:
            place.fail(f"{keywords[0]} is more than {keywords[1]}")

    def _parse_integer(self, place, schema):
        self._parse_number(place, schema)
        for keyword, value in schema.limits.items():
            if value != int(value) or abs(value) > EXACT_INTEGER:
                place.at(keyword).fail("must be a whole number of at most 2^53")
        schema.kind = "integer"

    @staticmethod
    def _parse_number(place, schema):
        schema.kind = "number"
        for keyword in KEYWORDS["number"]:
            if keyword in place:
                value = place.get(keyword)
                if not isinstance(value, (int, float)) or isinstance(value, bool):
                    place.at(keyword).fail("must be a number")
                schema.limits[keyword] = value
        for plain, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if plain in schema.limits and exclusive in schema.limits:
                place.fail(f"has both {plain} and {exclusive}")

    @staticmethod
    def _parse_boolean(_, schema):
        schema.kind = "boolean"

    def _parse_array(self, place, schema):
        schema.kind = "array"
        schema.unique = place.get("uniqueItems", False)
        self._counts(place, schema, "minItems", "maxItems")
        separator = "_" if schema.public else "__"
        schema.items = self.use(place.at("items"), f"{schema.name}.item", schema.c_name + separator + "item")
        if schema.items.kind == "array":
            place.at("items").fail("arrays of arrays are not supported")
        if schema.items.nullable:
            place.at("items").fail("items that may be null are not supported")
        if schema.unique and schema.items.kind in ("object", "one_of", "any"):
            place.at("uniqueItems").fail("is supported for scalars only")

    def _parse_object(self, place, schema):
        if "additionalProperties" not in place:
            place.fail("`additionalProperties` must be written: false, or true for free-form JSON")
        if place.get("additionalProperties") is True:
            return self._parse_any(place, schema)
        if place.get("additionalProperties") is not False:
            place.at("additionalProperties").fail("must be false or true")
        if "x-max-bytes" in place:
            place.at("x-max-bytes").fail("is for free-form JSON only")
        schema.kind = "object"
        self._parse_members(place, schema)
        return None

    def _parse_any(self, place, schema):
        for keyword in ("properties", "required"):
            if keyword in place:
                place.at(keyword).fail("is not supported with additionalProperties: true")
        place.at("x-max-bytes")
        schema.kind = "any"
        self._counts(place, schema, "x-max-bytes")

    def _parse_members(self, place, schema):
        required = place.get("required", [])
        properties = place.at("properties").children()
        if not 0 < len(properties) <= MAX_MEMBERS:
            place.at("properties").fail(f"must have 1 to {MAX_MEMBERS} members")
        for name in required:
            if name not in place.get("properties"):
                place.at("required").fail(f"{name} is not among the properties")
        taken = set()
        for name, child in properties:
            if child.node is None:
                child.fail("is empty")
            used = self.use(child, f"{schema.name}.{name}", f"{schema.c_name}__{snake(name)}")
            member = Member(name, used, name in required, used.nullable, child.get("readOnly", False) is True,
                            child.text("description", "") or used.description)
            if member.c_name in taken or not member.c_name:
                child.fail("has the C name of another member")
            taken.add(member.c_name)
            schema.members.append(member)

    def _parse_one_of(self, place, schema):
        place.allow("oneOf", "discriminator", "description", "x-origin")
        schema.kind = "one_of"
        discriminator = place.at("discriminator")
        discriminator.allow("propertyName", "mapping")
        schema.discriminator = discriminator.text("propertyName")
        listed = [str(self.contracts.resolve(item)) for item in place.at("oneOf").items()]
        for value, target in discriminator.at("mapping").children():
            found = self.contracts.find(target, target.node)
            if str(found) not in listed:
                target.fail("is not in oneOf")
            listed.remove(str(found))
            self._add_variant(schema, value, target, self.named(found))
        if listed:
            place.at("oneOf").fail(f"the mapping does not name {listed[0]}")

    @staticmethod
    def _add_variant(schema, value, place, variant):
        if variant.kind != "object":
            place.fail("must be an object")
        member = variant.member(schema.discriminator)
        if not member or not member.required or member.schema.values != [value]:
            place.fail(f"`{schema.discriminator}` must be required there, with const: {value}")
        schema.variants.append(Variant(value, variant))


def is_response(place):
    """Entries of schemas/ are schemas or shared responses; a response has content."""
    return "content" in place


def check_limits(schema, place, seen=None):
    """What comes from outside has an upper bound everywhere."""
    seen = set() if seen is None else seen
    if id(schema) in seen:
        return
    seen.add(id(schema))
    if schema.kind == "string" and "maxLength" not in schema.limits and schema.format != "x-clock-time":
        schema.place.fail(f"needs maxLength, because {place} takes it from outside")
    if schema.kind == "array" and "maxItems" not in schema.limits:
        schema.place.fail(f"needs maxItems, because {place} takes it from outside")
    for child in [m.schema for m in schema.members] + [v.schema for v in schema.variants]:
        check_limits(child, place, seen)
    if schema.items:
        check_limits(schema.items, place, seen)
