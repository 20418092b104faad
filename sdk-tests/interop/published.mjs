// The canonical rule of the published TypeScript SDK: JSON.parse, names sorted by UTF-16 unit at every depth,
// JSON.stringify for everything else. Reads one {"body", "public_key"} a line, both base64; answers true or false.
import { createPublicKey, verify } from "node:crypto";
import { createInterface } from "node:readline";

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join(",")}}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { body, public_key } = JSON.parse(line);
  const envelope = JSON.parse(Buffer.from(body, "base64").toString("utf8"));
  const { payload, security_token } = envelope;
  const message = { payload, security_token, timestamp: Math.floor(Date.parse(envelope.timestamp) / 1000) };
  const x = Buffer.from(public_key, "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signature = Buffer.from(envelope.signature, "base64");
  process.stdout.write(`${verify(null, Buffer.from(canonical(message), "utf8"), key, signature)}\n`);
}
