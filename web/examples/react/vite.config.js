// JSX becomes calls of React's own runtime; Vite needs no plugin for that.
export default { oxc: { jsx: { runtime: 'automatic' } } };
