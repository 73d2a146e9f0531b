// Serves this folder and node_modules to a browser, on loopback: `node server.js`, from where sparklane is installed.
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript' };
const folders = [import.meta.dirname, process.cwd()]; // the page, then what it imports

createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const path = normalize(pathname === '/' ? '/index.html' : pathname);
  const type = TYPES[extname(path)];
  const file = folders.map((folder) => join(folder, path)).find((name) => existsSync(name));
  if (type === undefined || file === undefined) response.writeHead(404).end();
  else createReadStream(file).pipe(response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }));
}).listen(Number(process.env.PORT ?? 5173), '127.0.0.1', function () {
  const { port } = this.address();
  console.log(`http://127.0.0.1:${port}, for a server started with --cors-origin http://127.0.0.1:${port}`);
});
