// esbuild gives a style sheet that is imported into a script as its text.
declare module '*.css' {
  const text: string;
  export default text;
}
