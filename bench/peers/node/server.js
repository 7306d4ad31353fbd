// oidc-provider on loopback with its own in-memory adapter.
//
//     node server.js '{"port": 8001, "client": "worker", "secret": "...", "formats": {"https://es256...": "ES256"}}'
//
// A format is a signing algorithm, or "opaque". Its documentation names no setting for speed; NODE_ENV=production is
// what express and koa servers run with.

import { generateKeyPairSync } from 'node:crypto';
import Provider, { errors } from 'oidc-provider';

const { port, client, secret, formats } = JSON.parse(process.argv[2]);
const LIFETIME = 3600;
const KINDS = { ES256: ['ec', { namedCurve: 'P-256' }], RS256: ['rsa', { modulusLength: 2048 }] };

function signingKey(alg) {
  const { privateKey } = generateKeyPairSync(...KINDS[alg]);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg };
}

function api(resource) {
  if (!Object.hasOwn(formats, resource)) throw new errors.InvalidTarget();
  const format = formats[resource];
  const written = format === 'opaque'
    ? { accessTokenFormat: 'opaque' }
    : { accessTokenFormat: 'jwt', jwt: { sign: { alg: format } } };
  return { scope: 'invoices:read invoices:write', audience: resource, accessTokenTTL: LIFETIME, ...written };
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: Object.keys(KINDS).map(signingKey) },
  clients: [{
    client_id: client,
    client_secret: secret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  scopes: ['invoices:read', 'invoices:write'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: { enabled: true, getResourceServerInfo: (ctx, resource) => api(resource) },
  },
});

provider.listen(port, '127.0.0.1');
