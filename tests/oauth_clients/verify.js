// Verifies a signed document as the guide shows, with npm's jose.
// node verify.js < {"receipt", "jwks", "type"}
// prints its claims, or the code of jose's error.
import { readFileSync } from "node:fs";
import { compactVerify, createLocalJWKSet } from "jose";

const { receipt, jwks, type } = JSON.parse(readFileSync(0, "utf8"));
try {
  const { payload, protectedHeader } = await compactVerify(receipt, createLocalJWKSet(jwks), {
    algorithms: ["EdDSA"],
  });
  if (protectedHeader.typ !== type) throw new Error("another document");
  console.log(JSON.stringify({ claims: JSON.parse(new TextDecoder().decode(payload)) }));
} catch (error) {
  console.log(JSON.stringify({ error: error.code ?? error.message }));
}
