// Making and changing elements; text is only ever set as text.

export const find = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function setText(id, text) {
  const changed = find(id);
  if (changed.textContent !== text) changed.textContent = text;
}

export const moment = (seconds, text) =>
  element("time", { datetime: new Date(seconds * 1000).toISOString(), title: new Date(seconds * 1000).toISOString() }, text);

// Shows `rows` as the children of `list`: what has not changed stays as it is, what was open stays open, and the
// keyboard's focus stays where it was.
export function syncList(list, rows, keyOf, render) {
  const before = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const after = rows.map((row) => {
    const key = String(keyOf(row));
    const content = JSON.stringify(row);
    const old = before.get(key);
    if (old?.content === content) return old;
    const made = render(row);
    made.dataset.key = key;
    made.content = content;
    const details = made.querySelector("details");
    if (old && details) {
      details.open = old.querySelector("details").open;
      made.refocus = old.contains(document.activeElement);
    }
    return made;
  });
  list.replaceChildren(...after);
  after.find((child) => child.refocus)?.querySelector("summary")?.focus();
  for (const child of after) child.refocus = false;
}
