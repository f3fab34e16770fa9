// A service worker answers the addresses at and below its own: it goes where Vite serves files from as they are.
import { cpSync } from 'node:fs';

cpSync('node_modules/rullama/dist/service-worker.js', 'public/service-worker.js');
