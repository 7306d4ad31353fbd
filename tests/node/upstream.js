// An OpenID provider where people have logins already: oidc-provider on loopback, with its own pages for them.
//
//     node upstream.js '{"port": 8001, "client": {"client_id": "doorward", "client_secret": "...", "redirect_uris": [...]}}'
//
// Whoever signs in as NAME, with any password, has the address NAME@acme.example; it is verified unless NAME says "unverified".

import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const { port, client } = JSON.parse(process.argv[2]);

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

const provider = new Provider(`http://localhost:${port}`, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: `RS256-${process.pid}` }] },
  clients: [{ ...client, grant_types: ['authorization_code'], token_endpoint_auth_method: 'client_secret_basic' }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
  pkce: { required: () => true },
  cookies: { keys: ['a key of the tests'] },
  async findAccount(ctx, id) {
    const claims = {
      sub: id,
      email: `${id}@acme.example`,
      email_verified: !id.includes('unverified'),
      name: `${id[0].toUpperCase()}${id.slice(1)} of Acme`,
      preferred_username: id,
    };
    return { accountId: id, claims: async () => claims };
  },
});

provider.listen(port, 'localhost', () => console.log(`listens on ${port}`));
