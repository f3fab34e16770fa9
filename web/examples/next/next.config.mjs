// Static files in `dist`: the model runs in the browser, and nothing on a server.
export default { output: 'export', distDir: 'dist' };
