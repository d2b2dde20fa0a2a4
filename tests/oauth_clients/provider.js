// An OpenID provider on a free port of this machine, which prints its issuer. node provider.js REDIRECT_URI
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "ledger",
      client_secret: "s3cret",
      redirect_uris: [process.argv[2]],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
    }],
    cookies: { keys: ["a key of the tests"] },
    features: { pushedAuthorizationRequests: { enabled: true }, revocation: { enabled: true } },
    pkce: { required: () => true },
    scopes: ["openid", "fdx:accountdetailed:read", "fdx:transactions:read"],
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: 60, RefreshToken: 3600, Session: 600, Grant: 3600, Interaction: 600, IdToken: 600 },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
