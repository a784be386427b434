// The norm over the rows of a response: a line, τ dashed, peaks as triangles, events as ticks.
const PLOT = { height: 150, left: 56, right: 12, top: 30, bottom: 24 };

function drawPlot(parent, { norms, tau, peaks, marks, thinkingEnd, selected, label }, choose) {
  const width = Math.max(parent.clientWidth, 240);
  const rows = norms.length;
  const finite = [...norms].filter(Number.isFinite);
  const high = Math.max(...finite, tau ?? -Infinity);
  const low = Math.min(...finite, tau ?? Infinity);
  const x = (row) => PLOT.left + (rows > 1 ? row / (rows - 1) : 0.5) * (width - PLOT.left - PLOT.right);
  const y = (norm) => {
    const share = high > low ? (norm - low) / (high - low) : 0.5;
    return PLOT.height - PLOT.bottom - share * (PLOT.height - PLOT.top - PLOT.bottom);
  };
  const base = PLOT.height - PLOT.bottom;
  const root = svg('svg', { class: 'plot', role: 'img', width, height: PLOT.height, viewBox: `0 0 ${width} ${PLOT.height}` });
  root.append(svg('title', {}, label));
  root.append(svg('line', { class: 'axis', x1: PLOT.left, x2: width - PLOT.right, y1: base, y2: base }));
  const axis = (text, px, py, anchor) => root.append(svg('text', { x: px, y: py, 'text-anchor': anchor }, text));
  if (finite.length) {
    axis(shown(high), PLOT.left - 8, y(high) + 4, 'end');
    axis(shown(low), PLOT.left - 8, y(low) + 4, 'end');
  }
  axis('row 0', PLOT.left, PLOT.height - 6, 'start');
  if (rows > 1) axis(String(rows - 1), width - PLOT.right, PLOT.height - 6, 'end');
  if (thinkingEnd !== null) {
    const at = x(thinkingEnd);
    root.append(svg('line', { class: 'thinking', x1: at, x2: at, y1: 4, y2: base }));
    const before = at > width / 2;
    axis('thinking ends', at + (before ? -5 : 5), 12, before ? 'end' : 'start');
  }
  if (tau !== null) {
    root.append(svg('line', { class: 'tau', x1: PLOT.left, x2: width - PLOT.right, y1: y(tau), y2: y(tau) }));
    axis('τ', width - PLOT.right, y(tau) - 4, 'end');
  }
  root.append(svg('path', { class: 'line', d: linePath(norms, x, y) }));
  for (const [row, mark] of marks) {
    if (mark.here) root.append(svg('line', { class: 'tick', x1: x(row), x2: x(row), y1: base, y2: base - 7 }));
  }
  for (const row of peaks) {
    const [px, py] = [x(row), y(norms[row])];
    root.append(svg('path', { class: 'triangle', d: `M${px - 4} ${py - 4}h8l-4 -7z` }));
  }
  const cursor = svg('line', { class: 'cursor', y1: PLOT.top - 8, y2: base });
  root.append(cursor);
  const move = (row) => {
    cursor.setAttribute('visibility', row === null ? 'hidden' : 'visible');
    if (row !== null) { cursor.setAttribute('x1', x(row)); cursor.setAttribute('x2', x(row)); }
  };
  move(selected);
  root.addEventListener('click', (event) => {
    const share = (event.clientX - root.getBoundingClientRect().left - PLOT.left) / (width - PLOT.left - PLOT.right);
    choose(Math.max(0, Math.min(rows - 1, Math.round(share * (rows - 1)))));
  });
  parent.replaceChildren(root);
  return move;
}

// A gap where a norm is not finite.
function linePath(norms, x, y) {
  let path = '';
  let drawing = false;
  norms.forEach((norm, row) => {
    if (Number.isFinite(norm)) path += `${drawing ? 'L' : 'M'}${x(row).toFixed(1)} ${y(norm).toFixed(1)}`;
    drawing = Number.isFinite(norm);
  });
  return path;
}
