// Verifies one token with npm jsonwebtoken, and signs one.
const jwt = require("jsonwebtoken");
const { alg, secret, other, token, claims } = JSON.parse(require("fs").readFileSync(0, "utf8"));
let refused = false;
try {
  jwt.verify(token, other, { algorithms: [alg] });
} catch {
  refused = true;
}
const answer = {
  verified: jwt.verify(token, secret, { algorithms: [alg] }),
  refused,
  token: jwt.sign(claims, secret, { algorithm: alg }),
};
process.stdout.write(JSON.stringify(answer));
