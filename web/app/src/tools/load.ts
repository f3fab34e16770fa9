// What calls need, each loaded with the first that needs it.

export const calculatorOf = async () => (await import('./calculator.ts')).calculate;
export const mcp = () => import('./mcp.ts');
