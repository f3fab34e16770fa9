// Bringing what is shown to what shall be shown, with as few changes as can be: nodes that stay the same stay the same nodes.

const wholes = new WeakMap<Node, string>();

/** A node that changes by itself is not brought to another: it stays where its key does, and is replaced where that is another. */
export const whole = (node: Node, key: string): void => void wholes.set(node, key);

/** Makes the children of `parent` from the child `from` on equal to `fresh`. */
export function patchChildren(parent: Node, from: number, fresh: readonly Node[]): void {
  fresh.forEach((node, i) => {
    const old = parent.childNodes[from + i];
    if (old) patch(old, node);
    else parent.appendChild(node);
  });
  while (parent.childNodes.length > from + fresh.length) parent.lastChild?.remove();
}

function patch(old: ChildNode, fresh: Node): void {
  if (wholes.get(old) !== wholes.get(fresh)) return old.replaceWith(fresh);
  if (wholes.has(old)) return;
  if (old instanceof Text && fresh instanceof Text) return patchText(old, fresh.data);
  if (!(old instanceof Element && fresh instanceof Element) || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  patchChildren(old, 0, [...fresh.childNodes]);
}

/** Text that grows keeps what is selected in it. */
function patchText(old: Text, data: string): void {
  if (old.data === data) return;
  if (data.startsWith(old.data)) old.appendData(data.slice(old.length));
  else old.data = data;
}
