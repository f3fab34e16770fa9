// The calculator: mathjs parses and computes with 64 digits, over a list of what an expression may hold. Nothing is evaluated as code.

import {
  create, type FactoryFunctionMap, absDependencies, acosDependencies, addDependencies, asinDependencies, atanDependencies, bignumberDependencies, cbrtDependencies, ceilDependencies,
  cosDependencies, divideDependencies, eDependencies, expDependencies, factorialDependencies, floorDependencies, formatDependencies, log10Dependencies,
  log2Dependencies, logDependencies, maxDependencies, minDependencies, modDependencies, multiplyDependencies, parseDependencies, piDependencies,
  powDependencies, roundDependencies, sinDependencies, sqrtDependencies, subtractDependencies, tanDependencies, unaryMinusDependencies,
  unaryPlusDependencies, type BigNumber, type ConstantNode, type FunctionNode, type MathNode, type OperatorNode, type SymbolNode,
} from 'mathjs';

const math = create({
  absDependencies, acosDependencies, addDependencies, asinDependencies, atanDependencies, bignumberDependencies, cbrtDependencies, ceilDependencies,
  cosDependencies, divideDependencies, eDependencies, expDependencies, factorialDependencies, floorDependencies, formatDependencies, log10Dependencies,
  log2Dependencies, logDependencies, maxDependencies, minDependencies, modDependencies, multiplyDependencies, parseDependencies, piDependencies,
  powDependencies, roundDependencies, sinDependencies, sqrtDependencies, subtractDependencies, tanDependencies, unaryMinusDependencies, unaryPlusDependencies,
} as FactoryFunctionMap, { number: 'BigNumber', precision: 64 });

const LONGEST = 1000;
const FUNCTIONS = ['abs', 'acos', 'asin', 'atan', 'cbrt', 'ceil', 'cos', 'exp', 'floor', 'ln', 'log', 'log10', 'log2', 'max', 'min', 'mod', 'round', 'sin', 'sqrt', 'tan'];
const CONSTANTS = ['pi', 'e'];
const OPERATORS = ['add', 'subtract', 'multiply', 'divide', 'mod', 'pow', 'unaryMinus', 'unaryPlus', 'factorial'];
/** Beyond it a factorial has no use, and takes time. */
const MOST_FACTORIAL = 1000;
/** Digits that are shown. */
const DIGITS = 30;

/**
 * The value of an expression.
 *
 * @throws Error that says what cannot be computed.
 */
export function calculate(expression: string): string {
  if (expression.length > LONGEST) throw new Error(`the expression has ${expression.length} characters: ${LONGEST} are the most`);
  const node = math.parse(plain(expression));
  const nodes: MathNode[] = [];
  node.traverse((one, path) => {
    check(one, path);
    nodes.push(one);
  });
  const scope = new Map([['ln', (x: BigNumber) => math.log(x)]]);
  // The inner ones first: what is to be computed for the outer ones is bounded then.
  for (const one of nodes.reverse()) if (type(one, 'factorial')) (one as OperatorNode).args.forEach((arg) => checkFactorial(arg.evaluate(new Map(scope))));
  const value: unknown = node.evaluate(scope);
  if (!math.isBigNumber(value)) throw new Error('it has no real value');
  if (value.isNaN()) throw new Error('it has no value');
  if (!value.isFinite()) throw new Error('it divides by zero, or is too large');
  // Rounding hides what the last of 64 digits cannot be sure of.
  return math.format(value, { precision: DIGITS, lowerExp: -15, upperExp: 40 });
}

/** Signs as people write them. */
const plain = (text: string) => text.trim().replace(/[×·]/g, '*').replace(/÷/g, '/').replace(/[−–]/g, '-').replace(/\*\*/g, '^').replace(/π/g, 'pi').replace(/=\s*\??$/, '');

function check(node: MathNode, path: string | null): void {
  const { type } = node;
  if (type === 'ParenthesisNode') return;
  if (type === 'ConstantNode' && math.isBigNumber((node as ConstantNode<BigNumber>).value)) return;
  if (type === 'OperatorNode') {
    const { fn, op } = node as OperatorNode;
    if (OPERATORS.includes(fn)) return;
    throw new Error(`${op} is not computed here`);
  }
  if (type === 'FunctionNode') {
    const { fn } = node as FunctionNode;
    if (fn.type === 'SymbolNode' && FUNCTIONS.includes(fn.name)) return;
    throw new Error(`the function ${fn.toString().slice(0, 40)} is not known: use ${FUNCTIONS.join(', ')}`);
  }
  if (type === 'SymbolNode') {
    const { name } = node as SymbolNode;
    if (CONSTANTS.includes(name) || (path === 'fn' && FUNCTIONS.includes(name))) return;
    throw new Error(`${name.slice(0, 40)} is not known: write numbers, pi and e`);
  }
  throw new Error('only numbers, operators and functions are computed, and digits stand without commas between them');
}

const type = (node: MathNode, fn: string) => node.type === 'OperatorNode' && (node as OperatorNode).fn === fn;

function checkFactorial(value: unknown): void {
  if (!math.isBigNumber(value) || !value.isInteger() || value.isNegative() || value.gt(MOST_FACTORIAL)) throw new Error(`a factorial is of a whole number from 0 to ${MOST_FACTORIAL}`);
}
