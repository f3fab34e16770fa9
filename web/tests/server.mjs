// A file server for the tests. Ranges, ETag and failures can be switched per folder.
import { createReadStream, existsSync, statSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

/**
 * Serves `mounts` (address prefix to folder). Options: `ranges: false` ignores `Range`; `cors: true` lets other
 * origins read; `delay` is milliseconds before each answer; `fail(url, count)` may return a status to answer in place of the
 * file, `cut(range)` a number of bytes of the body after which `after(response)` decides, which closes the connection unless another
 * one is given; `length: false` keeps the length secret. `requests` records what came.
 */
export async function startServer(mounts, { ranges = true, cors = false, delay = 0, fail, cut, after = close, length = true } = {}) {
  const requests = [];
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    requests.push({ method: request.method, pathname, range: request.headers.range });
    const headers = cors
      ? { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*', 'Access-Control-Expose-Headers': '*' }
      : {};
    if (request.method === 'OPTIONS') return response.writeHead(204, headers).end();
    if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
    const status = fail?.(pathname, requests.length);
    if (status) return response.writeHead(status, headers).end();
    const file = locate(mounts, pathname);
    if (!file) return response.writeHead(404, headers).end();
    send(request, response, file, headers, { ranges, length, after, cut: cut?.(request.headers.range) });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${server.address().port}`,
    requests,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

function locate(mounts, pathname) {
  for (const [prefix, folder] of Object.entries(mounts)) {
    if (!pathname.startsWith(prefix)) continue;
    const rest = decodeURIComponent(pathname.slice(prefix.length)) || 'index.html';
    const file = path.join(folder, rest);
    if (file.startsWith(path.resolve(folder)) && existsSync(file) && statSync(file).isFile()) return file;
  }
  return undefined;
}

function send(request, response, file, headers, { ranges, length, cut, after }) {
  const { size, mtimeMs } = statSync(file);
  const etag = `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"`;
  const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
  const common = { ...headers, 'Content-Type': type, ETag: etag, ...(ranges && { 'Accept-Ranges': 'bytes' }) };
  const range = ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const stale = request.headers['if-range'] && request.headers['if-range'] !== etag;
  const part = range && !stale;
  const start = part ? Number(range[1]) : 0;
  const end = part && range[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  if (part && start > end) return response.writeHead(416, { ...common, 'Content-Range': `bytes */${size}` }).end();
  if (part) common['Content-Range'] = `bytes ${start}-${end}/${size}`;
  if (length) common['Content-Length'] = end - start + 1;
  response.writeHead(part ? 206 : 200, common);
  if (request.method === 'HEAD') return response.end();
  const whole = cut === undefined;
  if (size === 0) return response.end();
  const body = createReadStream(file, { start, end: whole ? end : Math.min(end, start + cut - 1) });
  body.pipe(response, { end: whole });
  if (!whole) body.on('end', () => after(response));
}

/** What was sent must arrive before the connection is gone. */
const close = (response) => setTimeout(() => response.destroy(), 200);

/** Sends zeros for as long as someone takes them. */
export function flood(response) {
  const zeros = Buffer.alloc(1 << 16);
  const send = () => {
    while (!response.destroyed && response.write(zeros));
  };
  response.on('drain', send);
  send();
}
