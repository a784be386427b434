// Before anything is drawn: the reader's own choice of light or dark, if there was one.
(() => {
  'use strict';
  let kept = null;
  try { kept = localStorage.getItem('l2-harness-theme'); } catch { /* no storage here */ }
  if (kept === 'light' || kept === 'dark') document.documentElement.dataset.theme = kept;
})();
