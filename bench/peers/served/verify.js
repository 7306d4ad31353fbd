// A JWT for njs, as its documentation writes it: WebCrypto, in a subrequest of auth_request. The bench writes `told` in front
// of this: what is expected, and the public key. Each request has a fresh machine of its own, which imports the key anew.

const ALGORITHMS = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
};

function read(part) {
  return JSON.parse(Buffer.from(part, 'base64url').toString());
}

function asExpected(claims) {
  return claims.iss === told.issuer && claims.aud === told.audience && claims.exp > Date.now() / 1000;
}

function verify(r) {
  try {
    const parts = r.headersIn.Authorization.slice('Bearer '.length).split('.');
    if (read(parts[0]).alg !== told.alg || !asExpected(read(parts[1]))) throw new Error('not as expected');
    const algorithm = ALGORITHMS[told.alg];
    const signature = Buffer.from(parts[2], 'base64url');
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
    // Promises, for await within a subrequest crashes njs 0.7.
    crypto.subtle.importKey('spki', Buffer.from(told.spki, 'base64'), algorithm, false, ['verify'])
      .then((key) => crypto.subtle.verify(algorithm, key, signature, signed))
      .then((good) => r.return(good ? 204 : 401))
      .catch(() => r.return(401));
  } catch (e) {
    r.return(401);
  }
}

export default { verify };
