// Elements made in one line, and the texts of the page.

import { texts } from "/static/frame.js";

export const t = texts();

/** Return the element of an id. */
export const byId = (id) => document.getElementById(id);

/** Make an element; `on…` properties are listeners, `data` its data attributes, strings become text. */
export function make(tag, { data = {}, ...properties } = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
