// Reads in Node what dualkey writes: native cookies and envelopes. node:crypto is all it needs.
const { createDecipheriv, createHmac, timingSafeEqual } = require("node:crypto");

const hmac = (key, ...parts) =>
  parts.reduce((mac, part) => mac.update(part), createHmac("sha256", key)).digest();

// Each part after its length in bytes, as a big-endian u64.
const lengthPrefixed = (parts) =>
  parts.flatMap((part) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(Buffer.byteLength(part)));
    return [length, part];
  });

// The value of a native cookie, or null. `secrets` are those of SESSION_SECRET.
function readCookie(name, text, secrets, maxAgeSeconds) {
  const match = /^(.*)\.([^.]+)\.(\d+)\.([A-Za-z0-9_-]{43})$/s.exec(text);
  if (!match) return null;
  const [, value, kid, issued, mac] = match;
  const shown = Buffer.from(mac, "base64url");
  const isSigned = secrets.some((secret) => {
    const key = hmac("dualkey cookie v1", secret);
    return timingSafeEqual(hmac(key, ...lengthPrefixed([name, value, kid, issued])), shown);
  });
  const isFresh = Date.now() / 1000 - Number(issued) < maxAgeSeconds;
  return isSigned && isFresh ? decodeURIComponent(value) : null;
}

// For express, before express-session: hands it a native cookie in the form that it knows.
function nativeCookies(name, secrets, maxAgeSeconds) {
  return (req, res, next) => {
    if (!req.headers.cookie) return next();
    const isNamed = (pair) => pair.includes("=") && pair.slice(0, pair.indexOf("=")).trim() === name;
    const pairs = req.headers.cookie.split(";");
    const read = (pair) => {
      const text = pair.slice(pair.indexOf("=") + 1).trim().replace(/^"(.*)"$/, "$1");
      return readCookie(name, text, secrets, maxAgeSeconds);
    };
    // Of several cookies of the name the first native one that verifies counts, and the others go.
    const value = pairs.filter(isNamed).map(read).find((value) => value !== null);
    if (value !== undefined) {
      const mac = hmac(secrets[0], value).toString("base64").replace(/=+$/, "");
      const others = pairs.filter((pair) => !isNamed(pair));
      others.push(` ${name}=${encodeURIComponent(`s:${value}.${mac}`)}`);
      req.headers.cookie = others.join(";").trim();
    }
    next();
  };
}

// The payload of an envelope in text form, as a Buffer. `keys` are those of ENCRYPTION_KEY, as
// Buffers, under their derived kids. Throws if it does not open.
function openEnvelope(text, context, keys) {
  const blob = Buffer.from(text.slice("dk1.".length), "base64url");
  const head = 5 + blob[4];
  if (!text.startsWith("dk1.") || blob.toString("latin1", 0, 4) !== "DK\x01\x01" || blob.length < head + 88) {
    throw new Error("not an envelope of version 1");
  }
  const kid = blob.toString("utf8", 5, head);
  const derived = (key) =>
    hmac(key, "dualkey kid v1\0envelope").subarray(0, 12).toString("base64url");
  const key = keys.find((key) => derived(key) === kid);
  if (!key) throw new Error(`no key is called ${kid}`);
  const open = (key, nonce, sealed, associated) => {
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
    decipher.setAAD(associated).setAuthTag(sealed.subarray(-16));
    return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
  };
  const part = (start, end) => blob.subarray(head + start, end && head + end);
  const dataKey = open(key, part(0, 12), part(12, 60), blob.subarray(0, head));
  const associated = Buffer.concat([blob.subarray(0, 4), Buffer.from(context)]);
  return open(dataKey, part(60, 72), part(72), associated);
}

module.exports = { readCookie, nativeCookies, openEnvelope };
