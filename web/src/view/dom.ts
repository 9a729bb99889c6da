/** Small helpers to make elements; text is always text, never markup. */

type Child = Node | string | null;
interface Props {
  class?: string;
  text?: string;
  attributes?: Record<string, string>;
  on?: Partial<Record<keyof HTMLElementEventMap, (event: Event) => void>>;
}

export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (props.class) element.className = props.class;
  if (props.text !== undefined) element.textContent = props.text;
  for (const [name, value] of Object.entries(props.attributes ?? {})) element.setAttribute(name, value);
  for (const [name, handler] of Object.entries(props.on ?? {})) element.addEventListener(name, handler);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | number> = {},
  ...children: SVGElement[]
): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

export function button(text: string, press: () => void, props: Props = {}): HTMLButtonElement {
  const made = el("button", { ...props, text });
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

/** Hands a file to the reader's browser. */
export function download(blob: Blob, name: string): void {
  const link = el("a", { attributes: { href: URL.createObjectURL(blob), download: name } });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
