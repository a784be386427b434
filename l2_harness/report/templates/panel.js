// What is known of one token.
// `kinds`: kind of event → what happened, and what its value is.
function drawPanel(panel, response, row, { layer, norm, tau, peak, kinds }) {
  panel.classList.toggle('idle', row === null);
  if (row === null) {
    panel.replaceChildren(el('h3', {}, 'Token'), el('p', { class: 'caption' }, 'Point at a token, or move to one with Tab and then h and l.'));
    return;
  }
  const text = el('span', { class: 'model-text quoted' });
  appendVisible(text, response.pieces[row]);
  if (response.pieces[row] === '') text.append(el('i', {}, 'nothing yet: its character ends in a later token'));
  const facts = el('dl', { class: 'pairs' });
  facts.append(pair('row', `${row} (0 to ${response.pieces.length - 1})`));
  if (response.norms !== null) {
    facts.append(pair(`norm, layer ${layer}`, shown(norm)), pair('τ', shown(tau)), pair('peak', peak ? 'yes, above τ' : 'no'));
  }
  if (response.logprob) facts.append(pair('log-probability', `${shown(response.logprob[row])} nats`));
  if (response.entropy) facts.append(pair('entropy', `${shown(response.entropy[row])} nats`));
  if (response.special.includes(row)) facts.append(pair('kind', 'special token'));
  const events = response.events.filter((event) => event.row === row);
  panel.replaceChildren(el('h3', {}, 'Token'), text, facts, ...events.map((event) => drawEvent(event, kinds[event.kind] || ['', 'value'])));
}

function drawEvent(event, [meaning, valueIs]) {
  const facts = el('dl', { class: 'pairs' });
  if (event.value !== null) facts.append(pair(valueIs, shown(event.value)));
  for (const [name, value] of Object.entries(event.detail)) facts.append(pair(name || 'detail', value));
  const head = el('h4');
  appendVisible(head, `${event.kind} at layer ${event.layer}`);
  return el('div', { class: 'event-box', title: meaning }, el('span', { class: 'badge' }, eventLetter(event.kind)), head, facts);
}
