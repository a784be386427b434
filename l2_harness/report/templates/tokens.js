// The response's text, an element a token.
function eventLetter(kind) {
  return (kind[0] || '?').toUpperCase();
}

function buildTokens(container, response) {
  const special = new Set(response.special);
  container.replaceChildren();
  return response.pieces.map((piece, row) => {
    const node = el('span', { class: 'token', tabindex: row ? '-1' : '0', data: { row } });
    if (special.has(row)) node.classList.add('special');
    if (piece === '') node.classList.add('empty');
    appendVisible(node, piece);
    container.append(node);
    return node;
  });
}

// `marks`: row → {here: letters of events at this layer, elsewhere: of those at others}.
function paintTokens(nodes, norms, peaks, scale, marks) {
  const peakRows = new Set(peaks);
  nodes.forEach((node, row) => {
    const norm = norms ? norms[row] : NaN;
    const [ground, ink] = Number.isFinite(norm) ? scale.of(norm) : ['', ''];
    node.style.backgroundColor = ground;
    node.style.color = ink;
    node.classList.toggle('peak', peakRows.has(row));
    const mark = marks.get(row);
    node.classList.toggle('event', Boolean(mark && mark.here));
    node.classList.toggle('event-elsewhere', Boolean(mark && !mark.here));
    if (mark) node.dataset.mark = mark.here || mark.elsewhere.toLowerCase();
    else delete node.dataset.mark;
  });
}

function eventMarks(events, layer) {
  const marks = new Map();
  for (const event of events) {
    const mark = marks.get(event.row) || { here: '', elsewhere: '' };
    const side = event.layer === layer ? 'here' : 'elsewhere';
    const letter = eventLetter(event.kind);
    if (!mark[side].includes(letter)) mark[side] += letter;
    marks.set(event.row, mark);
  }
  return marks;
}
