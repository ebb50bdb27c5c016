// What the start page and the viewer know of the services.
export const services = [
  { name: "auth", job: "Who somebody is, and what they may do." },
  { name: "main-health", job: "The health record: events first, everything else derived." },
  { name: "chat", job: "Conversations with the companion." },
  { name: "memory", job: "What the companion knows about a person, and may know." },
  { name: "scheduler", job: "Reaching people at the right time." },
];

// Makes an element: element("a", { href: "/" }, "text", otherElement, …). Text is never taken for markup.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null && child !== ""));
  return made;
}
