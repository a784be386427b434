// Small helpers. Text only ever becomes a text node.
const SVG = 'http://www.w3.org/2000/svg';
const byId = (id) => document.getElementById(id);

function el(name, options = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === 'class') node.className = value;
    else if (key === 'data') Object.assign(node.dataset, value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Characters that show nothing or reorder others: controls, zero-width and direction marks,
// separators, tags.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/u;
const PARTS = new RegExp(`\\n|\\t| {2,}|^ $|${UNSEEN.source}`, 'gu');

// `text` as it is, with signs for what would not be seen. The signs of line breaks, tabs and
// spaces come from the style sheet, so that copied text is the text itself.
function appendVisible(parent, text) {
  let done = 0;
  for (const match of text.matchAll(PARTS)) {
    if (match.index > done) parent.append(text.slice(done, match.index));
    const found = match[0];
    done = match.index + found.length;
    if (found === '\n') parent.append(el('span', { class: 'newline' }), '\n');
    else if (found === '\t') parent.append(el('span', { class: 'tab' }, '\t'));
    else if (found[0] === ' ') for (const one of found) parent.append(el('span', { class: 'space' }, one));
    else parent.append(el('span', { class: 'unseen' }, codeName(found)));
  }
  if (done < text.length) parent.append(text.slice(done));
}

function codeName(character) {
  return 'U+' + character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
}

function setVisible(parent, text) {
  parent.replaceChildren();
  appendVisible(parent, text);
}

// A norm or another number with four significant digits.
function shown(number) {
  if (number === null || number === undefined || !Number.isFinite(number)) return '–';
  const size = Math.abs(number);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return number.toExponential(2).replaceAll('-', '−');
  const decimals = size === 0 ? 0 : Math.max(0, Math.min(6, 3 - Math.floor(Math.log10(size))));
  return number.toFixed(decimals).replace('-', '−');
}

function pair(name, value) {
  const dd = el('dd');
  if (value instanceof Node) dd.append(value);
  else appendVisible(dd, String(value));
  const dt = el('dt');
  appendVisible(dt, name);
  return el('div', {}, dt, dd);
}
