// What the check of the pages' scripts takes for granted: templates have the elements that scripts ask for.

declare const uPlot: any;

interface Document {
  getElementById(id: string): any;
  querySelector(selectors: string): any;
  querySelectorAll(selectors: string): NodeListOf<any>;
}

interface Element {
  querySelector(selectors: string): any;
  querySelectorAll(selectors: string): NodeListOf<any>;
  closest(selectors: string): any;
}

interface DocumentFragment {
  querySelector(selectors: string): any;
  querySelectorAll(selectors: string): NodeListOf<any>;
}

/** What our own events carry. */
interface Event {
  readonly detail?: any;
}

/** The target of an event is an element, of a kind that the listener knows. */
interface EventTarget {
  readonly dataset?: any;
  checked?: any;
  form?: any;
  id?: any;
  name?: any;
  value?: any;
  closest?(selectors: string): any;
}
