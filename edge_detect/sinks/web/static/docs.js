// The documentation of the API, drawn from openapi.json beside the page.

const COMMANDS = {
  "/stream.mjpg": "ffplay",
  "/snapshot.jpg": "curl -o snapshot.jpg",
  "/api/detections/stream": "curl -N",
};

// From the origin: a page's own address may hold a user and a password, which fetch refuses.
const base = new URL(location.pathname.replace(/[^/]*$/, ""), location.origin);

const make = (tag, className = "", text = "") => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
};

/** Text in which `names` stand between backticks. */
function prose(tag, text) {
  const element = make(tag);
  text.split("`").forEach((piece, index) => element.append(index % 2 ? make("code", "", piece) : piece));
  return element;
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop().replace(/Report$/, "");
  if (schema.enum) return schema.enum.join(" | ");
  const choices = schema.anyOf?.map(typeOf);
  if (choices) return [...new Set(choices)].join(" | ");
  if (schema.type === "array" && schema.prefixItems) return `${schema.prefixItems.length} numbers`;
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.additionalProperties) return `map of ${typeOf(schema.additionalProperties)}`;
  return schema.type ?? "";
}

function limits(schema) {
  const parts = [schema, ...(schema.anyOf ?? [])];
  const find = (key) => parts.map((part) => part[key]).find((value) => value !== undefined);
  const words = [];
  const [least, above, most] = [find("minimum"), find("exclusiveMinimum"), find("maximum")];
  if (least !== undefined) words.push(`from ${least}`);
  if (above !== undefined) words.push(`above ${above}`);
  if (most !== undefined) words.push(`up to ${most}`);
  if (schema.default !== undefined) words.push(`default ${schema.default}`);
  return words.join(", ");
}

function table(rows) {
  const element = make("table");
  const body = make("tbody");
  for (const [name, type, text] of rows) {
    const row = make("tr");
    const heading = make("th");
    heading.scope = "row";
    heading.append(make("code", "", name));
    row.append(heading, make("td", "", type), prose("td", text));
    body.append(row);
  }
  element.append(body);
  const scroll = make("div", "scroll");
  scroll.append(element);
  return scroll;
}

function fields(schema) {
  return table(
    Object.entries(schema.properties).map(([name, field]) => [
      name,
      typeOf(field),
      field.description ?? "",
    ]),
  );
}

/** A schema and, below it, those that it names. */
function structure(name, schemas, done = new Set()) {
  if (done.has(name) || !schemas[name]?.properties) return [];
  done.add(name);
  const schema = schemas[name];
  const inner = JSON.stringify(schema.properties).matchAll(/#\/components\/schemas\/(\w+)/g);
  const below = [...inner].flatMap(([, other]) => structure(other, schemas, done));
  const title = `${name.replace(/Report$/, "")}: ${schema.description ?? ""}`;
  return [make("h3", "", title), fields(schema), ...below];
}

function command(path, method, operation) {
  const address = new URL(path.slice(1), base);
  if (method === "get") return `${COMMANDS[path] ?? "curl"} ${address}`;
  const example = JSON.stringify(operation.requestBody?.content["application/json"].example ?? {});
  return `curl -X ${method.toUpperCase()} -H 'Content-Type: application/json' -d '${example}' ${address}`;
}

function endpoint(path, method, operation, schemas) {
  const card = make("section", "card");
  const title = make("h2");
  title.append(make("span", "method", method.toUpperCase()), make("code", "", path));
  card.append(title);
  for (const text of (operation.description ?? operation.summary ?? "").split("\n\n")) {
    card.append(prose("p", text));
  }
  if (operation.parameters?.length) {
    const rows = operation.parameters.map(({ name, schema, description }) => [
      name,
      [typeOf(schema).replace(" | null", ""), limits(schema)].filter(Boolean).join(", "),
      description ?? "",
    ]);
    card.append(table(rows));
  }
  const body = operation.requestBody?.content["application/json"].schema.$ref;
  if (body) card.append(fields(schemas[body.split("/").pop()]));
  const content = operation.responses["200"]?.content ?? {};
  const reference = content["application/json"]?.schema?.$ref;
  if (reference) {
    const details = make("details");
    details.append(make("summary", "", "Fields of the answer"));
    details.append(...structure(reference.split("/").pop(), schemas));
    card.append(details);
  }
  card.append(make("pre", "", command(path, method, operation)));
  return card;
}

async function run() {
  const lead = document.getElementById("lead");
  try {
    const response = await fetch(new URL("openapi.json", base));
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    const description = await response.json();
    lead.textContent = `${description.info.summary} Version ${description.info.version}.`;
    const schemas = description.components.schemas;
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        document.getElementById("doc").append(endpoint(path, method, operation, schemas));
      }
    }
  } catch (error) {
    lead.textContent = `The description cannot be loaded: ${error.message}`;
  }
}

run();
