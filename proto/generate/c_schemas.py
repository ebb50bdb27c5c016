"""C structs and `struct cm_schema` descriptors (libcommon/codec/schema.h) of a list of schemas."""
from contract import c_text

C_TYPES = {"string": "struct cm_str", "any": "struct cm_str", "integer": "int64_t", "number": "double",
           "boolean": "bool", "enum": "int32_t", "time": "cm_time", "date": "cm_date", "uuid": "struct cm_uuid"}
DESCRIPTOR_TYPES = {"string": "STRING", "any": "ANY", "integer": "INTEGER", "number": "NUMBER", "boolean": "BOOLEAN",
                    "enum": "ENUM", "time": "TIME", "date": "DATE", "uuid": "UUID", "object": "OBJECT",
                    "array": "ARRAY", "one_of": "ONE_OF"}


def c_type(schema):
    if schema.kind in ("object", "one_of") or (schema.kind == "array" and schema.public):
        return f"struct {schema.c_name}"
    return C_TYPES[schema.kind]


def declaration(schema, name, indent=""):
    """One struct member of the schema's type."""
    if schema.kind == "array" and not schema.public:
        return f"{indent}struct {{\n{indent}\t{c_type(schema.items)} *items;\n{indent}\tsize_t count;\n{indent}}} {name};"
    remark = f" /* enum {schema.c_name} */" if schema.kind == "enum" else ""
    return f"{indent}{c_type(schema)} {name};{remark}"


def struct_members(members):
    lines = []
    for member in members:
        lines.append(declaration(member.schema, member.c_name, "\t"))
        if member.has:
            lines.append(f"\tuint8_t has_{member.c_name};")
    return lines


# ---- header

def header_of(schema):
    """Types and the declaration of the descriptor."""
    lines = []
    remark = comment(schema.description)
    if schema.kind == "enum":
        lines += remark + enumeration(schema.c_name, schema.constants())
    elif schema.kind == "object":
        lines += remark + [f"struct {schema.c_name} {{", *struct_members(schema.members), "};"]
    elif schema.kind == "one_of":
        lines += remark + enumeration(schema.c_name + "_kind", schema.constants())
        lines += [f"struct {schema.c_name} {{", f"\tint32_t kind; /* enum {schema.c_name}_kind */", "\tunion {"]
        lines += [f"\t\tstruct {v.schema.c_name} {v.schema.c_name};" for v in schema.variants]
        lines += ["\t};", "};"]
    elif schema.kind == "array" and schema.public:
        lines += remark + [f"struct {schema.c_name} {{", f"\t{c_type(schema.items)} *items;", "\tsize_t count;", "};"]
    if schema.public:
        lines += [f"extern const struct cm_schema {schema.c_name}_schema;", ""]
    return lines


def enumeration(name, constants):
    lines = [f"enum {name} {{"]
    lines += [f"\t{constant}{' = 1' if index == 0 else ''}," for index, (constant, _) in enumerate(constants)]
    return lines + ["};"]


def comment(text):
    """A block comment in lines of at most 96 columns; nothing for no text."""
    words, lines = " ".join(text.replace("*/", "* /").split()).split(" "), [""]
    if not text.strip():
        return []
    for word in words:
        if len(lines[-1]) + len(word) > 92:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    if len(lines) == 1:
        return [f"/* {lines[0]} */"]
    return ["/*", *[f" * {line}" for line in lines], " */"]


# ---- source

def source_of(schema):
    """The descriptor with its tables."""
    tables, fields = [], [("name", c_text(schema.name)), ("type", "CM_TYPE_" + DESCRIPTOR_TYPES[schema.kind]),
                          ("size", size_of(schema))]
    stem = schema.c_name
    if schema.c_format:
        fields.append(("format", schema.c_format))
    fields += limit_fields(schema)
    if schema.kind == "enum":
        tables += [f"static const char *const {stem}_values[] = {{",
                   *[f"\t{c_text(value)}," for value in schema.values], "};"]
        fields += counted("values", "value_count", f"{stem}_values")
    elif schema.kind == "object":
        tables += member_table(schema)
        fields += counted("members", "member_count", f"{stem}_members")
    elif schema.kind == "array":
        fields.append(("items", f"&{schema.items.c_name}_schema"))
    elif schema.kind == "one_of":
        tables += variant_table(schema)
        fields += [("discriminator", c_text(schema.discriminator))]
        fields += counted("variants", "variant_count", f"{stem}_variants")
        fields.append(("union_offset", f"offsetof(struct {stem}, {schema.variants[0].schema.c_name})"))
    storage = "" if schema.public else "static "
    return [*tables, f"{storage}const struct cm_schema {stem}_schema = {{",
            *[f"\t.{name} = {value}," for name, value in fields], "};", ""]


def size_of(schema):
    if schema.kind == "array" and not schema.public:
        return "sizeof(struct cm_items)"
    return f"sizeof({c_type(schema)})"


def counted(table_field, count_field, table):
    return [(table_field, table), (count_field, f"CM_COUNT({table})")]


def limit_fields(schema):
    fields, limits = [], schema.limits
    for side, plain, exclusive in (("min", "minimum", "exclusiveMinimum"), ("max", "maximum", "exclusiveMaximum")):
        for keyword in (plain, exclusive):
            if keyword in limits:
                fields += [(f"has_{side}", "true"), (side, repr(float(limits[keyword])))]
        if exclusive in limits:
            fields.append((f"exclusive_{side}", "true"))
    for keyword, field in (("minLength", "min_len"), ("minItems", "min_len"), ("maxLength", "max_len"),
                           ("maxItems", "max_len"), ("x-max-bytes", "max_len")):
        if keyword in limits:
            fields.append((field, str(limits[keyword])))
    if schema.unique:
        fields.append(("unique_items", "true"))
    return fields


def member_table(schema):
    lines = [f"static const struct cm_member {schema.c_name}_members[] = {{"]
    for member in schema.members:
        struct = f"struct {schema.c_name}"
        has = f"offsetof({struct}, has_{member.c_name})" if member.has else "CM_NO_OFFSET"
        flags = "".join(f", .{name} = true" for name, value in (
            ("required", member.required), ("nullable", member.nullable), ("read_only", member.read_only)) if value)
        lines.append(f"\t{{ {c_text(member.name)}, &{member.schema.c_name}_schema, "
                     f"offsetof({struct}, {member.c_name}), {has}{flags} }},")
    return lines + ["};"]


def variant_table(schema):
    constants = [constant for constant, _ in schema.constants()]
    return [f"static const struct cm_variant {schema.c_name}_variants[] = {{",
            *[f"\t{{ {c_text(v.value)}, &{v.schema.c_name}_schema, {constant} }},"
              for v, constant in zip(schema.variants, constants)],
            "};"]
