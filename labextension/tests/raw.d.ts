/** The text of a file, as vite gives it to the tests. */
declare module '*?raw' {
  const text: string;
  export default text;
}
