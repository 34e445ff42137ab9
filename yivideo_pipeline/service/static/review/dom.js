// Short ways to find and make elements, and the texts of the page.

import { loadTexts } from "/static/frame.js";

export const t = loadTexts();

/** Return the element with an id. */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element: `on…` properties become listeners, `data` its data attributes, strings text nodes.
 *
 * @param {string} tag
 * @param {{data?: Record<string, string>, [property: string]: any}} properties
 * @param {...(Node | string)} children
 * @returns {any}
 */
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

/** Disable a button or enable it; if it has the focus, a cue gets that, so that it does not fall to the page. */
export function setDisabled(button, isDisabled) {
  const hadFocus = isDisabled && button === document.activeElement;
  button.disabled = isDisabled;
  if (hadFocus) document.querySelector("#cues .at[tabindex='0']")?.focus({ preventScroll: true });
}
