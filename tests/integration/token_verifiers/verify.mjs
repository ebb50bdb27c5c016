// What jose says of tokens. Standard input: the key set, the time, then a token a line; for each "ok" or why not.
import { createLocalJWKSet, jwtVerify } from "jose";
import { readFileSync, writeFileSync } from "node:fs";

const [set, now, ...tokens] = readFileSync(0, "utf8").split("\n").slice(0, -1);
const keys = createLocalJWKSet(JSON.parse(set));
const options = {
  algorithms: ["ES256"], issuer: "salus", audience: "salus", typ: "at+jwt", clockTolerance: 30, currentDate: new Date(now * 1000),
  requiredClaims: ["exp", "iat", "sub", "jti"],
};
const said = [];
for (const token of tokens) {
  try {
    await jwtVerify(token, keys, options);
    said.push("ok");
  } catch (error) {
    said.push(`${error.code} ${error.message}`.replaceAll("\n", " "));
  }
}
writeFileSync(1, said.map((line) => `${line}\n`).join(""));
