// Colours for code, loaded with the first code block: highlight.js with the languages that answers are mostly written in.

import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import csharp from 'highlight.js/lib/languages/csharp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import ini from 'highlight.js/lib/languages/ini';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import kotlin from 'highlight.js/lib/languages/kotlin';
import lua from 'highlight.js/lib/languages/lua';
import markdown from 'highlight.js/lib/languages/markdown';
import php from 'highlight.js/lib/languages/php';
import python from 'highlight.js/lib/languages/python';
import r from 'highlight.js/lib/languages/r';
import ruby from 'highlight.js/lib/languages/ruby';
import rust from 'highlight.js/lib/languages/rust';
import shell from 'highlight.js/lib/languages/shell';
import sql from 'highlight.js/lib/languages/sql';
import swift from 'highlight.js/lib/languages/swift';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';

const LANGUAGES = {
  bash, c, cpp, csharp, css, diff, go, ini, java, javascript, json, kotlin, lua, markdown, php, python, r, ruby, rust, shell, sql, swift,
  typescript, xml, yaml,
};
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

/** Some grammars take quadratic time on lines and words that nobody writes: those stay without colours. */
const MONSTROUS = /[^\n]{400}|\w{100}|\s{200}/;

/** The code as text and elements with a class each; nothing when it has no colours. */
export function highlight(code: string, language: string): Node[] | undefined {
  if (!hljs.getLanguage(language) || MONSTROUS.test(code)) return undefined;
  const { value } = hljs.highlight(code, { language, ignoreIllegals: true });
  const parsed = new DOMParser().parseFromString(`<body><div>${value}</div></body>`, 'text/html').querySelector('div');
  const nodes = [...(parsed?.childNodes ?? [])].map(safe);
  // What is shown is the code, whatever the highlighter made of it.
  return nodes.map((node) => node.textContent).join('') === code ? nodes : undefined;
}

function safe(node: Node): Node {
  if (!(node instanceof HTMLSpanElement)) return document.createTextNode(node.textContent ?? '');
  const span = document.createElement('span');
  span.className = node.className.split(' ').filter((name) => /^(?:hljs-[\w-]+|\w+_)$/.test(name)).join(' ');
  span.append(...[...node.childNodes].map(safe));
  return span;
}
