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
};

/**
 * Serves `mounts` (address prefix to folder). Options: `ranges: false` ignores `Range`; `cors: true` lets other
 * origins read; `delay` is milliseconds before each answer; `fail(url, count)` may return a status to answer in place of the file. `requests` records what came.
 */
export async function startServer(mounts, { ranges = true, cors = false, delay = 0, fail } = {}) {
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
    send(request, response, file, headers, ranges);
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

function send(request, response, file, headers, ranges) {
  const { size, mtimeMs } = statSync(file);
  const etag = `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"`;
  const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
  const common = { ...headers, 'Content-Type': type, ETag: etag, ...(ranges && { 'Accept-Ranges': 'bytes' }) };
  const range = ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const stale = request.headers['if-range'] && request.headers['if-range'] !== etag;
  if (!range || stale) {
    response.writeHead(200, { ...common, 'Content-Length': size });
    return request.method === 'HEAD' ? response.end() : createReadStream(file).pipe(response);
  }
  const start = Number(range[1]);
  const end = Math.min(range[2] ? Number(range[2]) : size - 1, size - 1);
  if (start > end) return response.writeHead(416, { ...common, 'Content-Range': `bytes */${size}` }).end();
  response.writeHead(206, { ...common, 'Content-Range': `bytes ${start}-${end}/${size}`, 'Content-Length': end - start + 1 });
  return request.method === 'HEAD' ? response.end() : createReadStream(file, { start, end }).pipe(response);
}
