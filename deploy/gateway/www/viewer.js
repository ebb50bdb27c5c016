// A viewer of OpenAPI 3.1 documents: api.html#auth, api.html#main-health/health_event_record. It shows what the
// services' own documents say and asks no other address.
import { element, services } from "./services.js";

const methods = ["get", "post", "put", "patch", "delete", "head"];
let shown = null; // name of the service on display
let root = null; // its document

// ---- the document
function resolve(node) {
  let seen = 0;
  while (node && node.$ref && seen++ < 20) {
    const target = node.$ref.replace(/^#\//, "").split("/")
      .reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
    const { $ref, ...rest } = node;
    node = { title: $ref.split("/").pop(), ...target, ...rest };
  }
  return node ?? {};
}

function operations() {
  return Object.entries(root.paths).flatMap(([path, item]) =>
    methods.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })));
}

// "string, uuid", "integer 1…100", "one of mood, sleep"
function kindOf(schema) {
  const type = [schema.type ?? (schema.properties ? "object" : schema.enum ? "string" : schema.oneOf ? "one of" : "any")].flat();
  const words = [type.join(" or ")];
  if (schema.type === "array") words[0] = `list of ${kindOf(resolve(schema.items))}`;
  if (schema.format) words.push(schema.format.replace(/^x-/, "").replace("-", " "));
  if (schema.const !== undefined) words.push(`always ${schema.const}`);
  const low = schema.minimum ?? schema.exclusiveMinimum ?? schema.minLength ?? schema.minItems;
  const high = schema.maximum ?? schema.exclusiveMaximum ?? schema.maxLength ?? schema.maxItems;
  if (low !== undefined || high !== undefined) words.push(`${low ?? ""}…${high ?? ""}`);
  return words.join(", ");
}

// ---- what is shown
// Prose of the documents; `this` in it is code.
function prose(text = "") {
  return element("span", {}, ...text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part)));
}

function choices(schema) {
  return schema.enum ? element("div", {}, ...schema.enum.flatMap((value) => [element("code", {}, String(value)), " "])) : null;
}

function schemaTable(schema, depth = 0) {
  schema = resolve(schema);
  if (schema.type === "array") return schemaTable(schema.items, depth);
  if (schema.oneOf) {
    return element("div", {}, ...schema.oneOf.map((variant) => {
      const one = resolve(variant);
      return element("details", {}, element("summary", {}, one.title ?? "variant"),
        element("div", { class: "nested" }, schemaTable(one, depth + 1)));
    }));
  }
  if (!schema.properties) {
    return element("p", {}, element("span", { class: "kind" }, kindOf(schema)), " ", prose(schema.description), choices(schema) ?? "");
  }
  const needed = new Set(schema.required ?? []);
  return element("table", {}, element("tbody", {}, ...Object.entries(schema.properties).map(([name, raw]) => {
    const property = resolve(raw);
    const inner = property.type === "array" ? resolve(property.items) : property;
    const nested = depth < 4 && (inner.properties || inner.oneOf)
      ? element("details", {}, element("summary", {}, inner.title ?? "members"),
        element("div", { class: "nested" }, schemaTable(inner, depth + 1)))
      : null;
    return element("tr", {},
      element("td", {}, element("code", {}, name), needed.has(name) ? element("span", { class: "needed" }, "required") : null),
      element("td", {}, element("span", { class: "kind" }, kindOf(property)), element("div", {}, prose(property.description)),
        choices(inner), nested));
  })));
}

function contentTables(content = {}) {
  return Object.entries(content).map(([type, media]) =>
    element("div", {}, element("p", { class: "kind" }, type, " ", resolve(media.schema ?? {}).title ?? ""), schemaTable(media.schema ?? {})));
}

function parameterTable(parameters) {
  return element("table", {}, element("tbody", {}, ...parameters.map(resolve).map((parameter) => {
    const schema = resolve(parameter.schema);
    return element("tr", {},
      element("td", {}, element("code", {}, parameter.name), parameter.required ? element("span", { class: "needed" }, "required") : null),
      element("td", {}, element("span", { class: "kind" }, `${parameter.in} · ${kindOf(schema)}`),
        element("div", {}, prose(parameter.description ?? schema.description)), choices(schema)));
  })));
}

function notes(operation) {
  const limit = operation["x-limit"];
  return element("ul", { class: "notes" }, ...[
    operation["x-scope"] ? `scope ${operation["x-scope"]}` : "open to anybody",
    limit && `${limit.rate} per ${limit.per}`,
    operation["x-idempotent"] && "honours Idempotency-Key",
    operation["x-stream"] && "streamed",
    operation["x-max-body"] && `body up to ${operation["x-max-body"]}`,
  ].filter(Boolean).map((note) => element("li", {}, note)));
}

function command(operation) {
  const body = Object.keys(operation.requestBody?.content ?? {})[0];
  const lines = [`curl -s -X ${operation.method.toUpperCase()} '${location.origin}${operation.path}'`];
  if (operation["x-scope"]) lines.push("-H \"Authorization: Bearer $TOKEN\"");
  if (body) lines.push(`-H 'Content-Type: ${body}'`, body.includes("json") ? "-d @body.json" : "--data-binary @file");
  return lines.join(" \\\n  ");
}

function operationSection(operation) {
  const parameters = operation.parameters ?? [];
  return element("section", { class: "operation", id: `${shown}/${operation.operationId}` },
    element("h3", {}, element("span", { class: `method ${operation.method}` }, operation.method), element("code", { class: "path" }, operation.path)),
    element("p", {}, element("strong", {}, operation.summary ?? ""), operation.description ? " – " : "", prose(operation.description)),
    notes(operation),
    element("pre", {}, element("code", {}, command(operation))),
    parameters.length ? element("h4", {}, "Parameters") : null,
    parameters.length ? parameterTable(parameters) : null,
    operation.requestBody ? element("h4", {}, "Body") : null,
    ...contentTables(operation.requestBody?.content),
    element("h4", {}, "Answers"),
    ...Object.entries(operation.responses).map(([status, raw]) => {
      const response = resolve(raw);
      return element("details", {}, element("summary", {}, element("code", {}, status), " ", prose(response.description)),
        element("div", { class: "nested" }, ...contentTables(response.content)));
    }));
}

function byTag(list) {
  const groups = new Map();
  for (const operation of list) {
    const tag = operation.tags?.[0] ?? "other";
    groups.set(tag, [...(groups.get(tag) ?? []), operation]);
  }
  return [...groups];
}

function show() {
  const groups = byTag(operations());
  document.getElementById("operations").replaceChildren(...groups.flatMap(([tag, list]) => [
    element("h2", {}, tag),
    element("ul", {}, ...list.map((operation) => element("li", {}, element("a", { href: `#${shown}/${operation.operationId}` },
      element("span", { class: `method ${operation.method}` }, operation.method), operation.summary ?? operation.operationId)))),
  ]));
  document.getElementById("document").replaceChildren(
    element("h1", {}, root.info.title, " ", element("small", { class: "kind" }, root.info.version)),
    element("p", {}, prose(root.info.description)),
    element("p", {}, element("a", { href: `/${shown}/openapi.json` }, "openapi.json")),
    ...groups.flatMap(([tag, list]) => [element("h2", {}, tag), ...list.map(operationSection)]));
  document.title = `${root.info.title} – API`;
}

async function load(name) {
  shown = name;
  document.getElementById("services").replaceChildren(...services.map((service) =>
    element("a", { href: `#${service.name}`, "aria-current": service.name === name && "page" }, service.name)));
  try {
    const answer = await fetch(`/${name}/openapi.json`);
    if (!answer.ok) throw new Error(`the service answers ${answer.status}`);
    root = await answer.json();
    show();
  } catch (error) {
    document.getElementById("operations").replaceChildren();
    document.getElementById("document").replaceChildren(
      element("p", { class: "error" }, `The document of ${name} cannot be shown: ${error.message}.`));
  }
}

async function navigate() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const name = services.find((service) => service.name === wanted.split("/")[0])?.name ?? services[0].name;
  if (name !== shown) await load(name);
  document.getElementById(wanted)?.scrollIntoView();
}
addEventListener("hashchange", navigate);
await navigate();
