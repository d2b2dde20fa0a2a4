// npm's oidc-provider, with codes to exchange. node oidc_provider.js PORT [DATABASE_URL]
// Without a database it keeps everything in memory. With one, a token is a row.
//   GET /bench/codes?count=N    N codes, made as the authorization endpoint makes them
//   GET /bench/token            an access token
import { createServer } from "node:http";
import pg from "pg";
import { Provider } from "oidc-provider";

const [port, url] = process.argv.slice(2);
const CLIENT = "bench";
const REDIRECT_URI = "https://app.example/return";
const pool = url && new pg.Pool({ connectionString: url, max: 16 });
if (pool) {
  await pool.query(`CREATE TABLE IF NOT EXISTS oidc (
    model text, id text, payload jsonb NOT NULL, grant_id text, expires_at timestamptz, consumed_at timestamptz,
    PRIMARY KEY (model, id))`);
}

class Rows {
  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload, expiresIn) {
    await pool.query({
      name: "upsert",
      text: `INSERT INTO oidc (model, id, payload, grant_id, expires_at)
             VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
             ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`,
      values: [this.model, id, JSON.stringify(payload), payload.grantId, expiresIn],
    });
  }

  async find(id) {
    const { rows: [row] } = await pool.query({
      name: "find",
      text: "SELECT payload, consumed_at FROM oidc WHERE model = $1 AND id = $2 AND expires_at > now()",
      values: [this.model, id],
    });
    return row && { ...row.payload, ...(row.consumed_at && { consumed: true }) };
  }

  async consume(id) {
    await pool.query({
      name: "consume",
      text: "UPDATE oidc SET consumed_at = now() WHERE model = $1 AND id = $2",
      values: [this.model, id],
    });
  }

  async destroy(id) {
    await pool.query("DELETE FROM oidc WHERE model = $1 AND id = $2", [this.model, id]);
  }

  async revokeByGrantId(grantId) {
    await pool.query("DELETE FROM oidc WHERE grant_id = $1", [grantId]);
  }
}

// As the library's own adapter, which forgets all but the last 1,000 entries.
const entries = new Map();
class Memory {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    entries.set(this.key(id), { payload, expiresAt: Date.now() + expiresIn * 1000 });
  }

  async find(id) {
    const entry = entries.get(this.key(id));
    return entry && entry.expiresAt > Date.now() ? entry.payload : undefined;
  }

  async consume(id) {
    entries.get(this.key(id)).payload.consumed = true;
  }

  async destroy(id) {
    entries.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key);
  }
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: pool ? Rows : Memory,
  clients: [{
    client_id: CLIENT,
    client_secret: "s3cret",
    redirect_uris: [REDIRECT_URI],
    grant_types: ["authorization_code"],
    response_types: ["code"],
  }],
  cookies: { keys: ["a key of the benchmark"] },
  features: { devInteractions: { enabled: false } },
  claims: { openid: ["sub", "account_number", "routing_number"] },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, account_number: "3141592653", routing_number: "091000019" }),
  }),
  scopes: ["openid", "numbers"],
  ttl: { AccessToken: 5_184_000, AuthorizationCode: 600, Grant: 5_184_000 },
});

async function granted(scope) {
  const grant = new provider.Grant({ clientId: CLIENT, accountId: "ann" });
  grant.addOIDCScope(scope);
  return {
    client: await provider.Client.find(CLIENT),
    accountId: "ann",
    grantId: await grant.save(),
    gty: "authorization_code",
    scope,
  };
}

// Not openid: the exchange would sign an ID token too.
const newCode = async () =>
  new provider.AuthorizationCode({ ...(await granted("numbers")), redirectUri: REDIRECT_URI }).save();

const answer = provider.callback();
createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (pathname === "/bench/codes") {
    const codes = [];
    for (let left = Number(searchParams.get("count")); left > 0; left -= 1) codes.push(await newCode());
    response.end(JSON.stringify(codes));
  } else if (pathname === "/bench/token") {
    response.end(JSON.stringify(await new provider.AccessToken(await granted("openid")).save()));
  } else {
    answer(request, response);
  }
}).listen(Number(port), "127.0.0.1");
