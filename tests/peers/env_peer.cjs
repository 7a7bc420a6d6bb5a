// Reads the variable `name` of each file: with npm's dotenv, if it is there, and as
// `node --env-file` does.
const fs = require("fs");
const util = require("util");
const { name, files } = JSON.parse(fs.readFileSync(0, "utf8"));
let dotenv;
try {
  dotenv = require("dotenv");
} catch {
  dotenv = null;
}
const read = (parse) => files.map((file) => parse(fs.readFileSync(file, "utf8"))[name] ?? null);
const answer = {
  npm: dotenv && read((text) => dotenv.parse(text)),
  node: util.parseEnv ? read(util.parseEnv) : null,
};
process.stdout.write(JSON.stringify(answer));
