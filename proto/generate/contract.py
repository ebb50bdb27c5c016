"""Reading the contracts: YAML files, references between them, and the errors that name a place."""
import pathlib
import re

import yaml


class ContractError(Exception):
    """Something in proto/ that the generator does not understand; `where` is file#/path."""

    def __init__(self, where, problem):
        super().__init__(f"{where}: {problem}")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Refuses a key that stands twice; dates stay text, and so do `on` and `no`."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers
            if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load_yaml(path):
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ContractError(path, f"is not YAML: {error}") from None


class Place:
    """A node of a contract file and the way to it, for messages."""

    def __init__(self, file, path, node):
        self.file, self.path, self.node = file, path, node

    def __str__(self):
        return f"{self.file}#{self.path}"

    def fail(self, problem):
        raise ContractError(self, problem)

    def __contains__(self, key):
        return isinstance(self.node, dict) and key in self.node

    def at(self, key):
        """The child; an error when it is missing."""
        if key not in self:
            self.fail(f"`{key}` is missing")
        return self._child(key, self.node[key])

    def get(self, key, default=None):
        """The plain value of a child."""
        return self.node.get(key, default)

    def children(self):
        """(key, place) of each member of a mapping."""
        if not isinstance(self.node, dict):
            self.fail("must be a mapping")
        return [(key, self._child(key, value)) for key, value in self.node.items()]

    def items(self):
        """Places of the entries of a sequence."""
        if not isinstance(self.node, list):
            self.fail("must be a list")
        return [self._child(index, value) for index, value in enumerate(self.node)]

    def text(self, key, default=None):
        value = self.get(key, default)
        if value is not None and not isinstance(value, str):
            self.at(key).fail("must be text")
        return value

    def allow(self, *keys):
        """Whatever is not understood is an error, never ignored."""
        for key, place in self.children():
            if key not in keys:
                place.fail(f"is not supported here (known: {', '.join(keys)})")

    def _child(self, key, value):
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        return Place(self.file, f"{self.path}/{escaped}", value)


class Contracts:
    """The folder proto/."""

    FILES = ("events.yaml", "rpc.yaml", "keys.yaml", "errors.yaml", "access.yaml", "origins.yaml")
    FOLDERS = ("http", "schemas", "settings", "generate")

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._documents = {}
        for path in sorted(self.folder.iterdir()):
            known = self.FOLDERS if path.is_dir() else self.FILES
            if path.name not in known and not path.name.startswith("."):
                raise ContractError(path, "the generator does not know what this is for")

    def has(self, name):
        return (self.folder / name).exists()

    def root(self, name):
        """The whole of one file."""
        path = (self.folder / name).resolve()
        if path not in self._documents:
            if not path.is_file():
                raise ContractError(self.folder / name, "there is no such file")
            self._documents[path] = load_yaml(path)
        shown = path.relative_to(self.folder.resolve().parent)
        return Place(shown, "", self._documents[path])

    def files(self, subfolder):
        """Names, relative to proto/, of the YAML files of a folder."""
        return [f"{subfolder}/{path.name}" for path in sorted((self.folder / subfolder).glob("*.yaml"))]

    def resolve(self, place):
        """What `$ref` of this place means, and the place itself when there is none."""
        hops = 0
        while "$ref" in place:
            reference = place.node["$ref"]
            if not isinstance(reference, str) or "#/" not in reference:
                place.fail("`$ref` must be file.yaml#/Name or #/Name")
            place = self.find(place, reference)
            hops += 1
            if hops > 8:
                place.fail("`$ref` goes in a circle")
        return place

    def find(self, place, reference):
        """The place that a reference written at `place` names."""
        file, _, path = reference.partition("#")
        here = self.folder.resolve().parent / place.file
        target = (here.parent / file).resolve() if file else here.resolve()
        try:
            found = self.root(target.relative_to(self.folder.resolve()))
        except (ContractError, ValueError):
            place.fail(f"refers to {file}, which is not there")
        for part in path.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if key not in found:
                place.fail(f"refers to {reference}, which is not there")
            found = found.at(key)
        return found


ORIGIN = re.compile(r"00[0-4]\.[^.]+\..+")


def check_origins(place):
    """x-origin everywhere below: a string or a list of them, "<seed>.<entity>.<field>"."""
    if isinstance(place.node, dict):
        for key, child in place.children():
            if key == "x-origin":
                _check_origin(child)
            else:
                check_origins(child)
    elif isinstance(place.node, list):
        for child in place.items():
            check_origins(child)


def _check_origin(place):
    claims = place.node if isinstance(place.node, list) else [place.node]
    if not claims:
        place.fail("names no origin")
    for claim in claims:
        if not isinstance(claim, str) or not ORIGIN.fullmatch(claim):
            place.fail('must be "<seed>.<entity>.<field>" or a list of such')


def check_shown(contracts):
    """origins.yaml: what is no part of a contract names the test that shows it, file or file::name."""
    for claim, place in contracts.root("origins.yaml").children() if contracts.has("origins.yaml") else []:
        if not ORIGIN.fullmatch(str(claim)):
            place.fail('must be "<seed>.<entity>.<field>"')
        file, _, name = str(place.node).partition("::")
        path = contracts.folder.resolve().parent / file
        if not path.is_file():
            place.fail(f"there is no test {file}")
        if name not in path.read_text(encoding="utf-8"):
            place.fail(f"{file} has no {name}")


def snake(name):
    """HealthEventInput, Idempotency-Key, main-health -> health_event_input, idempotency_key, main_health"""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def shout(name):
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")


def c_text(text):
    """A C string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + escaped.replace("??", '?""?') + '"'


def notation(value):
    """A value as it stands in the environment."""
    return str(value).lower() if isinstance(value, bool) else str(value)
