// A client that a test leads: one step a line on standard input, its outcome a line on standard output.
//
//     {"step": "begin", "with": {...}}   ->   {"done": ...} or {"refused": "access_denied", "said": "..."}

import { createInterface } from 'node:readline';

async function outcome(take, given) {
  try {
    return { done: (await take(given)) ?? null };
  } catch (fault) {
    // Where the server challenges, these libraries leave the body of its answer to their caller.
    const body = fault.code === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' ? await fault.response.json() : fault;
    return { refused: body.error ?? fault.code ?? fault.name, said: `${fault.stack}` };
  }
}

export async function follow(steps) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { step, with: given } = JSON.parse(line);
    console.log(JSON.stringify(await outcome(steps[step], given)));
  }
}
