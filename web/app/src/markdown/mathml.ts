// MathML from TeX by Temml, loaded with the first formula. Its markup is copied element by element, and its inline styles,
// which the page's policy forbids, become classes of a style sheet that grows with them.

import temml from 'temml';
import css from 'temml/dist/Temml-Local.css';

const MATHML = 'http://www.w3.org/1998/Math/MathML';
const ELEMENTS = new Set([
  'maction', 'math', 'menclose', 'merror', 'mfrac', 'mi', 'mmultiscripts', 'mn', 'mo', 'mover', 'mpadded', 'mphantom', 'mprescripts', 'mroot',
  'mrow', 'ms', 'mspace', 'msqrt', 'mstyle', 'msub', 'msubsup', 'msup', 'mtable', 'mtd', 'mtext', 'mtr', 'munder', 'munderover', 'none', 'span',
]);
const ATTRIBUTES = new Set([
  'accent', 'accentunder', 'class', 'columnalign', 'columnlines', 'columnspacing', 'columnspan', 'depth', 'display', 'displaystyle', 'fence',
  'form', 'height', 'largeop', 'linebreak', 'linethickness', 'lspace', 'mathbackground', 'mathcolor', 'mathsize', 'mathvariant', 'maxsize',
  'minsize', 'movablelimits', 'notation', 'rowlines', 'rowspacing', 'rspace', 'scriptlevel', 'separator', 'stretchy', 'symmetric', 'voffset',
  'width',
]);
/** Levels of elements in a formula, and kinds of inline styles in all. */
const MAX_DEPTH = 100;
const MAX_STYLES = 400;
/** Formulas that are kept: while an answer is written, its last paragraph is built again and again. */
const MAX_KEPT = 200;

const styles = new Map<string, string>();
const kept = new Map<string, Element | undefined>();
let sheet: CSSStyleSheet | undefined;

/** The formula as MathML; nothing when it is none. */
export function mathml(source: string, display: boolean): Node | undefined {
  const key = `${display ? 'display' : 'inline'} ${source}`;
  if (!kept.has(key)) {
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(key, convert(source, display));
  }
  return kept.get(key)?.cloneNode(true);
}

function convert(source: string, displayMode: boolean): Element | undefined {
  try {
    const markup = temml.renderToString(source, { displayMode, throwOnError: true, strict: false, trust: false, maxSize: [40, 40], maxExpand: 500 });
    // As data, so that no style is applied to what is only read.
    const inert = markup.replaceAll(' style="', ' data-style="');
    const parsed = new DOMParser().parseFromString(inert, 'text/html').querySelector('math');
    return parsed ? copy(parsed, 0) : undefined;
  } catch {
    return undefined;
  }
}

function copy(from: Element, depth: number): Element {
  const name = from.localName;
  if (!ELEMENTS.has(name) || depth > MAX_DEPTH) throw new Error(`no place for <${name}> at depth ${depth}`);
  const element = name === 'span' ? document.createElement('span') : document.createElementNS(MATHML, name);
  for (const { name: attribute, value } of from.attributes) if (ATTRIBUTES.has(attribute)) element.setAttribute(attribute, value);
  const style = from.getAttribute('data-style');
  if (style) element.classList.add(...styleClass(style));
  for (const child of from.childNodes) {
    if (child instanceof Element) element.append(copy(child, depth + 1));
    else element.append(child.textContent ?? '');
  }
  return element;
}

/** The class that stands for inline styles. */
function styleClass(style: string): string[] {
  const known = styles.get(style);
  if (known) return [known];
  if (styles.size >= MAX_STYLES) return [];
  const name = `formula-${styles.size}`;
  styles.set(style, name);
  const to = styleSheet();
  // Said thrice, the class comes before the rules of the writer's own sheet, as an inline style would.
  const rule = to.cssRules[to.insertRule(`math .${name}.${name}.${name}, math.${name}.${name}.${name} {}`, to.cssRules.length)] as CSSStyleRule;
  rule.style.cssText = style;
  return [name];
}

function styleSheet(): CSSStyleSheet {
  if (sheet) return sheet;
  sheet = new CSSStyleSheet();
  // The font of script letters is not served; the system's serves.
  sheet.replaceSync(css.replace(/@font-face\s*\{[^}]*\}/, ''));
  document.adoptedStyleSheets.push(sheet);
  return sheet;
}
