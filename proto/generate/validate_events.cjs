// Checks an AsyncAPI document with the parser of the AsyncAPI project: prints what is wrong, fails on errors.
const { readFileSync } = require('node:fs');
const { Parser } = require('@asyncapi/parser');

async function main(path) {
  const { diagnostics } = await new Parser().parse(readFileSync(path, 'utf8'), { source: path });
  const errors = diagnostics.filter((found) => found.severity <= 1);
  for (const { message, path: where, severity } of errors) {
    console.log(`${path}#/${where.join('/')}: ${severity ? 'warning' : 'error'}: ${message}`);
  }
  return errors.length ? 1 : 0;
}

main(process.argv[2]).then((status) => process.exit(status));
