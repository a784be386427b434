// What the report itself needs: theme, copying, sorting, the folded contents.
function theme() {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const button = byId('theme');
  const dark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const label = () => { button.textContent = dark() ? 'Light colours' : 'Dark colours'; };
  button.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    try { localStorage.setItem('l2-harness-theme', root.dataset.theme); } catch { /* not kept */ }
    label();
  });
  system.addEventListener('change', label);
  label();
  button.hidden = false;
}

function copying() {
  for (const button of document.querySelectorAll('.copy')) {
    const code = button.parentElement.querySelector('code');
    button.hidden = false;
    button.addEventListener('click', async () => {
      getSelection().selectAllChildren(code);
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = 'Copied';
      } catch {
        button.textContent = 'Selected'; // the browser's own copy does the rest
      }
    });
  }
}

const ORDERS = { none: 'ascending', ascending: 'descending', descending: 'none' };

function sorting() {
  for (const table of document.querySelectorAll('.tabular table')) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      head.setAttribute('aria-sort', 'none');
      head.querySelector('button').addEventListener('click', () => {
        const order = ORDERS[head.getAttribute('aria-sort')];
        for (const other of heads) other.setAttribute('aria-sort', 'none');
        head.setAttribute('aria-sort', order);
        body.append(...sorted(original, place, order));
      });
    });
  }
}

function sorted(rows, place, order) {
  if (order === 'none') return rows;
  const numeric = rows.some((row) => row.cells[place].dataset.v !== undefined);
  const sign = order === 'ascending' ? 1 : -1;
  const key = (row) => {
    const cell = row.cells[place];
    if (!numeric) return cell.textContent;
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };
  return [...rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return (x === null) - (y === null); // missing ones last
    if (numeric) return sign * (x < y ? -1 : x > y ? 1 : 0);
    return sign * x.localeCompare(y, 'en', { numeric: true });
  });
}

function contents() {
  const details = byId('contents');
  if (details && matchMedia('(max-width: 62rem)').matches) details.open = false;
}

theme();
copying();
sorting();
contents();
