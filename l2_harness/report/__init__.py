"""One HTML file of what analyses found, with a page of responses coloured by their norms.

:func:`write_report` renders the sections below a folder, :func:`load_responses` chooses recorded
responses for it, :func:`responses_page` shows those alone. Knows nothing of what made a section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2_harness.lazy_names import lazy_names

if TYPE_CHECKING:
    from l2_harness.report.page import render_report, responses_page, write_report
    from l2_harness.report.responses.judging import VerdictSource
    from l2_harness.report.responses.loading import ResponseSource, load_responses
    from l2_harness.report.responses.views import ResponseSet, ResponseView

_HOME = {
    "render_report": "page",
    "responses_page": "page",
    "write_report": "page",
    "VerdictSource": "responses.judging",
    "ResponseSource": "responses.loading",
    "load_responses": "responses.loading",
    "ResponseSet": "responses.views",
    "ResponseView": "responses.views",
}

__all__ = [
    "ResponseSet",
    "ResponseSource",
    "ResponseView",
    "VerdictSource",
    "load_responses",
    "render_report",
    "responses_page",
    "write_report",
]

__getattr__, __dir__ = lazy_names(globals(), _HOME)
