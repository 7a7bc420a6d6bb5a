// A backend as there are many: express with express-session, npm jsonwebtoken, webhooks signed
// with createHmac, and an `encryption.ts`. Its secrets are arrays, of which the first signs; they
// change while it runs. `native.cjs` is what the chapter "Moving in" gives such a backend.
const { createCipheriv, createHmac, randomBytes } = require("node:crypto");
const express = require("express");
const session = require("express-session");
const jwt = require("jsonwebtoken");
const { nativeCookies, openEnvelope } = require("../../src/guide/native.cjs");

const { life, secrets, keys } = JSON.parse(process.argv[2]);
const encryptionKeys = keys.map((key) => Buffer.from(key, "hex"));

// The store of sessions, which both backends use, as they would a Redis.
const sessions = new Map();
class Shared extends session.Store {
  get(sid, done) {
    const found = sessions.get(sid);
    done(null, found && JSON.parse(found));
  }
  set(sid, data, done) {
    sessions.set(sid, JSON.stringify(data));
    done?.(null);
  }
  touch(sid, data, done) {
    this.set(sid, data, done);
  }
  destroy(sid, done) {
    sessions.delete(sid);
    done?.(null);
  }
}

const sessionOptions = {
  secret: secrets.session,
  store: new Shared(),
  resave: false,
  saveUninitialized: false,
  rolling: true,
  cookie: { maxAge: life * 1000 },
};
const who = (req, res) => {
  if (req.session.user) res.send(req.session.user);
  else res.sendStatus(401);
};

const app = express();
app.use(express.json({ limit: "4mb" }));
// Without the shim, to show that it is needed.
app.get("/plain/me", session(sessionOptions), who);

// The operator: a list of secrets in the place of another.
app.post("/secrets/:name", (req, res) => {
  secrets[req.params.name].splice(0, Infinity, ...req.body);
  res.sendStatus(204);
});
app.get("/store/:sid", (req, res) => {
  const found = sessions.get(req.params.sid);
  if (found) res.type("json").send(found);
  else res.sendStatus(404);
});
app.put("/store/:sid", (req, res) => {
  sessions.set(req.params.sid, JSON.stringify(req.body));
  res.sendStatus(204);
});

const bearer = (req, res, next) => {
  const token = req.headers.authorization?.replace(/^Bearer /, "");
  if (!token) return next();
  for (const secret of secrets.jwt) {
    try {
      return res.send(jwt.verify(token, secret, { algorithms: ["HS256"] }).sub);
    } catch {}
  }
  res.sendStatus(401);
};
const sessionParts = [nativeCookies("connect.sid", secrets.session, life), session(sessionOptions)];
app.post("/login", sessionParts, (req, res) => {
  req.session.user = req.body.user;
  res.send(jwt.sign({ sub: req.body.user }, secrets.jwt[0], { expiresIn: life }));
});
app.get("/me", bearer, sessionParts, who);

app.post("/webhook", (req, res) => {
  const body = JSON.stringify(req.body);
  const signature = createHmac("sha256", secrets.webhook[0]).update(body).digest("hex");
  res.json({ body, header: `sha256=${signature}` });
});

// encryption.ts, in its four usual layouts.
app.post("/rows/seal", (req, res) => {
  const { text, aad, ivBytes } = req.body;
  const seal = (join) => {
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv("aes-256-gcm", encryptionKeys[0], iv);
    if (aad) cipher.setAAD(Buffer.from(aad));
    const ct = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return join(iv, cipher.getAuthTag(), ct);
  };
  const hex = (...parts) => parts.map((part) => part.toString("hex")).join(":");
  const base64 = (...parts) => Buffer.concat(parts).toString("base64");
  res.json([
    seal((iv, tag, ct) => hex(iv, tag, ct)),
    seal((iv, tag, ct) => hex(iv, ct, tag)),
    seal((iv, tag, ct) => base64(iv, tag, ct)),
    seal((iv, tag, ct) => base64(iv, ct, tag)),
  ]);
});
app.post("/rows/open", (req, res) => {
  try {
    res.send(openEnvelope(req.body.stored, req.body.context, encryptionKeys).toString("utf8"));
  } catch (error) {
    res.status(422).send(error.message);
  }
});

// It ends with whoever started it.
process.stdin.on("end", () => process.exit()).resume();
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
