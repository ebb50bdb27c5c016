"""One self-contained OpenAPI 3.1 document a service: what is referred to in schemas/ moves to components."""
import copy

from routes import METHODS
from schemas import is_response

# Our own formats, said in words of JSON Schema too, so that tools know what is accepted.
PATTERNS = {
    "x-line": "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$",
    "x-clock-time": "^([01][0-9]|2[0-3]):[0-5][0-9]$",
}
# How a client takes up a stream that was cut. The server reads both itself.
RESUMPTION = [
    {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string", "maxLength": 15, "pattern": "^[0-9]*$"},
     "description": "The id of the last event that was seen: the stream goes on behind it."},
    {"name": "last_event_id", "in": "query", "schema": {"type": "string", "maxLength": 15, "pattern": "^[0-9]*$"},
     "description": "The same, for clients that cannot set the header. The header counts when both are there."},
]
BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def bundle(contracts, name):
    root = contracts.root(f"http/{name}.yaml")
    return _Bundler(contracts).document(root)


class _Bundler:
    def __init__(self, contracts):
        self.contracts = contracts
        self.components = {"schemas": {}, "responses": {}}

    def document(self, root):
        document = self._copy(root)
        own = document.get("components", {})
        for kind in self.components:
            if self.components[kind]:
                own[kind] = {**own.get(kind, {}), **dict(sorted(self.components[kind].items()))}
        own.setdefault("securitySchemes", {"bearer": BEARER})
        document["components"] = own
        document.pop("security", None)
        for item in document["paths"].values():
            for method, operation in item.items():
                if method in METHODS:
                    scope = operation.get("x-scope")
                    operation["security"] = [{"bearer": [scope]}] if scope else []
                    if "x-event-stream" in operation:
                        operation["parameters"] = operation.get("parameters", []) + copy.deepcopy(RESUMPTION)
        return document

    def _copy(self, place):
        if isinstance(place.node, list):
            return [self._copy(child) for child in place.items()]
        if not isinstance(place.node, dict):
            return copy.copy(place.node)
        copied = {}
        for key, child in place.children():
            if key == "$ref":
                copied[key] = self._move(child)
            elif key == "mapping":
                copied[key] = {value: self._move(target) for value, target in child.children()}
            elif key != "x-origin":
                copied[key] = self._copy(child)
        if isinstance(copied.get("format"), str) and copied["format"] in PATTERNS:
            copied["pattern"] = PATTERNS[copied["format"]]
        return copied

    def _move(self, reference):
        """Copies what a reference outside means to components; returns the new reference."""
        found = self.contracts.find(reference, reference.node)
        if found.file.parts[-2] != "schemas":
            return reference.node
        name = found.path.split("/")[1]
        kind = "responses" if is_response(found) else "schemas"
        if name not in self.components[kind]:
            self.components[kind][name] = None
            self.components[kind][name] = self._copy(found)
        return f"#/components/{kind}/{name}"
