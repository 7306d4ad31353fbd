// Another issuer: oidc-provider on loopback, with everything in memory.
//
//     node issuer.js '{"port": 8001, "clients": {"worker": "its secret", "gatekeeper": "its secret"}}'
//
// An api's format is the first word of its identifier's host: https://es256.example.com, https://rs256..., https://opaque...

import { generateKeyPairSync } from 'node:crypto';
import Provider, { errors } from 'oidc-provider';

const { port, clients } = JSON.parse(process.argv[2]);
const LIFETIME = 60;

const KINDS = { ES256: ['ec', { namedCurve: 'P-256' }], RS256: ['rsa', { modulusLength: 2048 }] };

function signingKey(alg) {
  const { privateKey } = generateKeyPairSync(...KINDS[alg]);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${process.pid}` };
}

function api(resource) {
  const word = new URL(resource).hostname.split('.')[0];
  const formats = {
    es256: { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } },
    rs256: { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } },
    opaque: { accessTokenFormat: 'opaque' },
  };
  if (!Object.hasOwn(formats, word)) throw new errors.InvalidTarget();
  return { scope: 'invoices:read invoices:write', audience: resource, accessTokenTTL: LIFETIME, ...formats[word] };
}

const provider = new Provider(`http://localhost:${port}`, {
  jwks: { keys: Object.keys(KINDS).map(signingKey) },
  clients: Object.entries(clients).map(([id, secret]) => ({
    client_id: id,
    client_secret: secret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
  })),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: (ctx, client, token) => client.clientId === 'gatekeeper' },
    revocation: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: (ctx, resource) => api(resource) },
  },
});

provider.listen(port, 'localhost', () => console.log(`listens on ${port}`));
