// The page of responses: which one, at which layer; kept in the address after #.
const FINISH = { eos: 'ended with its end token', stop: 'ended with a stop string', length: 'cut off at the token limit' };
const VERDICTS = { correct: '✓ correct', wrong: '✗ wrong', unjudged: 'not judged' };
const FILTERS = [['verdict', 'v', ''], ['task', 't', ''], ['events', 'e', ''], ['text', 'q', ''], ['scale', 's', 'all']];

function viewer(data) {
  const { layers, responses } = data;
  const state = { response: 0, layer: layers.length - 1, verdict: '', task: '', events: '', text: '', scale: 'all', row: null };
  const decoded = new Map();
  let nodes = [];
  let drawnResponse = -1;
  let moveCursor = () => {};
  let visible = [];

  const current = () => responses[state.response];
  const normsOf = (index) => {
    if (!decoded.has(index)) decoded.set(index, decodeNorms(responses[index], layers));
    return decoded.get(index);
  };

  // -- which responses ---------------------------------------------------------------------
  const haystack = responses.map((r) => `${r.question || r.prompt || ''}\n${r.pieces.join('')}`.toLowerCase());
  const fits = (index, verdict = state.verdict) => {
    const r = responses[index];
    return (!verdict || r.verdict === verdict) && (!state.task || r.task === state.task)
      && (!state.events || r.events.length > 0) && haystack[index].includes(state.text.toLowerCase());
  };
  const all = responses.map((_, index) => index);
  const title = (index) => {
    const r = responses[index];
    const sample = r.sample || r.repeat ? `, sample ${r.repeat ? `${r.repeat}.` : ''}${r.sample}` : '';
    return `${r.task}, document ${r.doc_id}${sample}`;
  };

  function filter() {
    visible = all.filter((index) => fits(index));
    for (const node of document.querySelectorAll('[data-count]')) {
      node.textContent = all.filter((index) => fits(index, node.dataset.count)).length;
    }
    byId('pick').replaceChildren(...visible.map((index) => {
      const r = responses[index];
      return el('option', { value: index }, `${index + 1}. ${title(index)}: ${r.verdict === 'unjudged' ? '' : `${r.verdict}, `}${r.pieces.length} tokens`);
    }));
    if (visible.length && !visible.includes(state.response)) { state.response = visible[0]; state.row = null; }
    byId('none').hidden = visible.length > 0;
    byId('response').hidden = visible.length === 0;
    for (const id of ['previous', 'next', 'pick']) byId(id).disabled = visible.length < 2;
  }

  // -- one response ------------------------------------------------------------------------
  function drawResponse() {
    const r = current();
    drawnResponse = state.response;
    byId('r-title').replaceChildren();
    appendVisible(byId('r-title'), title(state.response));
    byId('facts').replaceChildren(...facts(r));
    setVisible(byId('question'), r.question ?? r.prompt ?? 'Not known: pass --samples with lm-eval’s sample file.');
    byId('prompt-details').hidden = r.prompt === null || r.question === null;
    setVisible(byId('prompt'), r.prompt ?? '');
    const answers = [];
    if (r.reference !== null) answers.push(pair('reference answer', r.reference));
    if (r.reference !== null) answers.push(pair('extracted answer', r.extracted ?? '–'));
    byId('answers').replaceChildren(...answers);
    byId('no-norms').hidden = r.norms !== null;
    byId('plot-figure').hidden = r.norms === null;
    byId('legend').hidden = r.norms === null;
    nodes = buildTokens(byId('tokens'), r);
  }

  function facts(r) {
    const thinking = r.thinking_end === null ? '' : `, ${r.thinking_end + 1} of them thinking`;
    const kinds = new Map();
    for (const event of r.events) kinds.set(event.kind, (kinds.get(event.kind) || new Set()).add(event.layer));
    const items = [
      el('li', { class: `verdict ${r.verdict}` }, VERDICTS[r.verdict]),
      ...(r.metric ? [el('li', {}, r.metric)] : []),
      el('li', {}, `${r.pieces.length} tokens${thinking}`),
      ...(r.finish ? [el('li', {}, FINISH[r.finish] || r.finish)] : []),
      ...[...kinds].map(([kind, at]) => {
        const count = r.events.filter((event) => event.kind === kind).length;
        const item = el('li', { title: (data.events[kind] || [''])[0] }, el('span', { class: 'badge' }, eventLetter(kind)));
        appendVisible(item, ` ${count} × ${kind}, layer${at.size > 1 ? 's' : ''} ${[...at].sort((a, b) => a - b).join(', ')}`);
        return item;
      }),
      ...(Object.keys(r.counters).length ? [el('li', {}, 'over all layers: ' + Object.entries(r.counters).map(([name, n]) => `${name.replaceAll('_', ' ')} ${n}`).join(', '))] : []),
    ];
    return items;
  }

  function layerOf() {
    const r = current();
    const norms = normsOf(state.response);
    return {
      layer: layers[state.layer],
      norms: norms && norms[state.layer],
      tau: r.norms === null ? null : r.tau[state.layer],
      peaks: r.norms === null ? [] : r.peaks[state.layer],
      range: r.norms === null ? [0, 1] : (state.scale === 'one' ? r.range : data.range)[state.layer],
      marks: eventMarks(r.events, layers[state.layer]),
    };
  }

  function paint() {
    const r = current();
    const at = layerOf();
    const scale = colourScale(data.colours, at.range);
    paintTokens(nodes, at.norms, at.peaks, scale, at.marks);
    if (at.norms) {
      drawLegend(byId('legend'), scale, data.colours, at.tau);
      byId('plot-title').textContent = `Norm at layer ${at.layer}, row by row`;
      const label = `Norm of ${r.pieces.length} rows at layer ${at.layer}: ${at.peaks.length} above τ = ${shown(at.tau)}.`;
      moveCursor = drawPlot(byId('plot'), { ...at, thinkingEnd: r.thinking_end, selected: state.row, label }, (row) => select(row, true));
    } else {
      moveCursor = () => {};
    }
    show(state.row);
  }

  function show(row) {
    const at = layerOf();
    const facts = row === null ? {} : { norm: at.norms ? at.norms[row] : null, peak: at.peaks.includes(row) };
    drawPanel(byId('panel'), current(), row, { layer: at.layer, tau: at.tau, kinds: data.events, ...facts });
    moveCursor(row);
  }

  function select(row, focus) {
    const before = byId('tokens').querySelector('[tabindex="0"]');
    if (before) before.tabIndex = -1;
    for (const node of byId('tokens').querySelectorAll('.selected')) node.classList.remove('selected');
    state.row = row;
    nodes[row].tabIndex = 0;
    nodes[row].classList.add('selected');
    if (focus) nodes[row].focus();
    show(row);
  }

  // -- all of it ---------------------------------------------------------------------------
  function draw() {
    filter();
    if (visible.length) {
      if (drawnResponse !== state.response) { state.row = null; drawResponse(); }
      paint();
    }
    byId('layer').value = state.layer;
    byId('scale').value = state.scale;
    byId('task').value = state.task;
    byId('search').value = state.text;
    byId('with-events').checked = Boolean(state.events);
    for (const radio of document.getElementsByName('verdict')) radio.checked = radio.value === state.verdict;
    byId('pick').value = state.response;
    byId('status').textContent = visible.length ? `${visible.indexOf(state.response) + 1} of ${visible.length}` : '';
  }

  function change(changes) {
    Object.assign(state, changes);
    draw();
    const address = new URLSearchParams({ r: state.response + 1, l: layers[state.layer] });
    for (const [name, short, usual] of FILTERS) if (state[name] !== usual) address.set(short, state[name]);
    history.replaceState(null, '', `#${address}`);
  }

  const step = (by) => {
    const place = visible.indexOf(state.response) + by;
    if (place >= 0 && place < visible.length) change({ response: visible[place] });
  };
  const layerStep = (by) => {
    const place = state.layer + by;
    if (place >= 0 && place < layers.length) change({ layer: place });
  };
  const tokenStep = (by) => {
    const row = state.row === null ? 0 : state.row + by;
    if (row >= 0 && row < nodes.length) select(row, true);
  };
  const markStep = (by) => {
    const { peaks, marks } = layerOf();
    const rows = [...new Set([...peaks, ...marks.keys()])].sort((a, b) => a - b);
    const from = state.row ?? -1;
    const next = by > 0 ? rows.find((row) => row > from) : rows.reverse().find((row) => row < from);
    if (next !== undefined) select(next, true);
  };
  const KEYS = {
    j: () => step(1), k: () => step(-1), ArrowRight: () => layerStep(1), ArrowLeft: () => layerStep(-1),
    l: () => tokenStep(1), h: () => tokenStep(-1), m: () => markStep(1), M: () => markStep(-1),
  };

  // Where keys mean something of their own: fields, and tables that scroll.
  function takesKey(node, key) {
    if (!(node instanceof Element)) return false;
    if (node.matches('select, textarea, input[type=search]')) return true;
    return key.startsWith('Arrow') && node.matches('input[type=radio]');
  }

  function listen() {
    byId('layer').append(...layers.map((layer, i) => el('option', { value: i }, String(layer))));
    const tasks = [...new Set(responses.map((r) => r.task))];
    byId('task').append(...tasks.map((task) => el('option', { value: task }, task)));
    byId('task-label').hidden = tasks.length < 2;
    const acted = responses.some((r) => r.events.length > 0);
    byId('with-events').disabled = !acted;
    if (!acted) byId('with-events').parentElement.title = 'No technique acted on these responses.';
    if (responses.every((r) => r.norms === null)) { byId('layer').disabled = true; byId('scale').disabled = true; }
    byId('controls').addEventListener('submit', (event) => event.preventDefault());
    byId('layer').addEventListener('change', (event) => change({ layer: Number(event.target.value) }));
    byId('scale').addEventListener('change', (event) => change({ scale: event.target.value }));
    byId('task').addEventListener('change', (event) => change({ task: event.target.value }));
    byId('search').addEventListener('input', (event) => change({ text: event.target.value }));
    byId('with-events').addEventListener('change', (event) => change({ events: event.target.checked ? '1' : '' }));
    byId('pick').addEventListener('change', (event) => change({ response: Number(event.target.value) }));
    for (const radio of document.getElementsByName('verdict')) radio.addEventListener('change', () => change({ verdict: radio.value }));
    byId('previous').addEventListener('click', () => step(-1));
    byId('next').addEventListener('click', () => step(1));
    byId('clear').addEventListener('click', () => change({ verdict: '', task: '', events: '', text: '' }));
    const tokens = byId('tokens');
    const rowOf = (target) => {
      const node = target instanceof Element && target.closest('.token');
      return node ? Number(node.dataset.row) : null;
    };
    tokens.addEventListener('mouseover', (event) => { if (rowOf(event.target) !== null) show(rowOf(event.target)); });
    tokens.addEventListener('mouseleave', () => show(state.row));
    tokens.addEventListener('focusin', (event) => { if (rowOf(event.target) !== null && rowOf(event.target) !== state.row) select(rowOf(event.target), false); });
    document.addEventListener('keydown', (event) => {
      const act = KEYS[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey || byId('view-responses').hidden) return;
      if (takesKey(event.target, event.key)) return;
      event.preventDefault();
      act();
    });
    let width = 0;
    new ResizeObserver(() => {
      if (byId('plot').clientWidth !== width && !byId('view-responses').hidden && visible.length) { width = byId('plot').clientWidth; paint(); }
    }).observe(byId('plot'));
  }

  function fromAddress(address) {
    const number = Number(address.get('r'));
    if (number >= 1 && number <= responses.length) state.response = Math.trunc(number) - 1;
    const layer = layers.indexOf(Number(address.get('l') ?? NaN));
    if (layer >= 0) state.layer = layer;
    for (const [name, short, usual] of FILTERS) state[name] = address.get(short) ?? usual;
    if (!['', 'correct', 'wrong'].includes(state.verdict)) state.verdict = '';
    if (!responses.some((r) => r.task === state.task)) state.task = '';
    if (state.scale !== 'one') state.scale = 'all';
    draw();
  }

  listen();
  return fromAddress;
}

function views() {
  const data = byId('data');
  const [report, page] = [byId('view-report'), byId('view-responses')];
  if (!data || !page) return;
  const content = JSON.parse(data.textContent);
  let show = null;
  const route = (first) => {
    const hash = location.hash.slice(1);
    const address = new URLSearchParams(hash);
    const asked = !report || hash === 'responses' || address.has('r');
    if (report) report.hidden = asked;
    page.hidden = !asked;
    for (const link of document.querySelectorAll('[data-view]')) {
      if ((link.dataset.view === 'responses') === asked) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    if (asked && content.responses.length) {
      show = show || viewer(content);
      show(address);
    } else if (hash) {
      // The view was hidden when the browser looked for the place.
      const place = document.getElementById(hash);
      if (place) place.scrollIntoView();
    }
    if (!first && (asked || hash === 'report')) { scrollTo(0, 0); byId('main').focus({ preventScroll: true }); }
  };
  addEventListener('hashchange', () => route(false));
  route(true);
}

views();
