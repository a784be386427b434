// Norms of a response by layer and row, and the colours that they stand for.
const NO_NORM = 65535;

function decodeNorms(response, layers) {
  if (response.norms === null) return null;
  const bytes = Uint8Array.from(atob(response.norms), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const rows = response.pieces.length;
  return layers.map((_, layer) => {
    const values = new Float64Array(rows);
    for (let row = 0; row < rows; row += 1) {
      const code = view.getUint16(2 * (layer * rows + row), true);
      values[row] = code === NO_NORM ? NaN : response.low[layer] + code * response.step[layer];
    }
    return values;
  });
}

function colourScale(colours, [low, high]) {
  const inks = colours.map(inkOn);
  const place = (norm) => {
    const share = high > low ? (norm - low) / (high - low) : 0.5;
    return Math.max(0, Math.min(colours.length - 1, Math.round(share * (colours.length - 1))));
  };
  return { low, high, of: (norm) => [colours[place(norm)], inks[place(norm)]] };
}

// Black or white, whichever is read more easily on `colour`; one of them always has 4.5 to 1.
function inkOn(colour) {
  const parts = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255);
  const [r, g, b] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? '#000000' : '#ffffff';
}

function drawLegend(parent, scale, colours, tau) {
  const width = 100 / colours.length;
  const ramp = svg('svg', { class: 'ramp', viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'shape-rendering': 'crispEdges', 'aria-hidden': 'true' });
  colours.forEach((colour, i) => {
    ramp.append(svg('rect', { x: i * width, y: 0, width: 2 * width, height: 6, fill: colour }));
  });
  const peak = el('span', { class: 'legend-peak' });
  peak.append(el('span', { class: 'token peak sample', 'aria-hidden': 'true' }, 'peak'), ` above τ = ${shown(tau)}`);
  parent.replaceChildren(el('span', {}, `norm ≤ ${shown(scale.low)}`), ramp, el('span', {}, `≥ ${shown(scale.high)}`), peak);
}
