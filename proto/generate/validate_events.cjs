// Checks an AsyncAPI document with the parser of the AsyncAPI project: prints what is wrong, fails on errors.
const { readFileSync } = require('node:fs');
const { Parser } = require('@asyncapi/parser');
const yaml = require('js-yaml');

// The schemas are those of the OpenAPI documents too, where a discriminator has a mapping; AsyncAPI knows its name alone.
function namesOnly(node) {
  if (Array.isArray(node)) return node.map(namesOnly);
  if (!node || typeof node !== 'object') return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) =>
    key === 'discriminator' && value?.propertyName ? [key, value.propertyName] : [key, namesOnly(value)]));
}

const schemas = {
  schema: 'file',
  canRead: true,
  order: 1,
  read: (uri) => JSON.stringify(namesOnly(yaml.load(readFileSync(uri.path(), 'utf8')))),
};

async function main(path) {
  const parser = new Parser({ __unstable: { resolver: { resolvers: [schemas] } } });
  const { diagnostics } = await parser.parse(readFileSync(path, 'utf8'), { source: path });
  const errors = diagnostics.filter((found) => found.severity <= 1);
  for (const { message, path: where, severity } of errors) {
    console.log(`${path}#/${where.join('/')}: ${severity ? 'warning' : 'error'}: ${message}`);
  }
  return errors.length ? 1 : 0;
}

main(process.argv[2]).then((status) => process.exit(status));
