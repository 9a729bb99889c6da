"""The page about a dataset: tables and charts in one HTML file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BytesIO

import numpy as np
from jinja2 import Environment
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mammoscope import NOTICE, __version__

Groups = Mapping[str, tuple[int, int]]

# Okabe and Ito 2008: told apart by people with any kind of colour blindness.
_MALIGNANT, _BENIGN = "#D55E00", "#0072B2"
_CHARTED = ("Shape", "Margins", "Density")
_MOST_GROUPS = 10

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{ name }}</title><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 2rem } td, th { padding: .2rem .8rem; text-align: left }
tr { border-bottom: 1px solid #ddd } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
img { max-width: 100% } footer { color: #666; border-top: 1px solid #ddd; margin-top: 2rem }
</style></head><body>
<h1>{{ name }}</h1>
<table>{% for label, value in facts.items() %}<tr><th>{{ label }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
<h2>Sizes</h2>
<table><tr><th></th>{% for head in heads %}<th class="n">{{ head }}</th>{% endfor %}</tr>
{% for label, row in sizes.items() %}<tr><th>{{ label }}</th>
{% for value in row.values() %}<td class="n">{{ "%g"|format(value) }}</td>{% endfor %}</tr>{% endfor %}</table>
<h2>Lesions by label</h2>
<img alt="Malignant and benign lesions by shape, margins and density, and the spread of box sizes"
 src="data:image/png;base64,{{ chart }}">
{% for label, groups in labels.items() %}
<table><tr><th>{{ label }}</th><th class="n">malignant</th><th class="n">benign</th></tr>
{% for value, pair in groups.items() %}<tr><td>{{ value }}</td><td class="n">{{ pair[0] }}</td>
<td class="n">{{ pair[1] }}</td></tr>{% endfor %}</table>{% endfor %}
<footer>mammoscope {{ version }}. {{ notice }}</footer>
</body></html>
"""


def overview_page(
    name: str, facts: Mapping[str, str], sizes: Mapping[str, Mapping[str, float]], labels: Mapping[str, Groups]
) -> str:
    """The page as HTML.

    Parameters
    ----------
    facts
        Sentences by their label.
    sizes
        Quantiles by the name of the length.
    labels
        Malignant and benign lesions by value, by the name of the label.
    """
    page = Environment(autoescape=True).from_string(_PAGE)
    heads = list(next(iter(sizes.values())))
    chart = base64.b64encode(_chart(sizes, labels)).decode("ascii")
    return page.render(
        name=name,
        facts=facts,
        sizes=sizes,
        heads=heads,
        labels=labels,
        chart=chart,
        version=__version__,
        notice=NOTICE,
    )


def _chart(sizes: Mapping[str, Mapping[str, float]], labels: Mapping[str, Groups]) -> bytes:
    """A PNG with a panel for each charted label and one for box sizes."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(np.ravel(figure.subplots(2, 2)))
    for axes, label in zip(panels, _CHARTED, strict=False):
        _bars(axes, label, labels[label])
    _box_sizes(panels[-1], {name: row for name, row in sizes.items() if " / " in name and "area" not in name})
    target = BytesIO()
    figure.savefig(target, format="png", dpi=110, metadata={"Software": None})
    return target.getvalue()


def _bars(axes: Axes, label: str, groups: Groups) -> None:
    shown = dict(list(groups.items())[:_MOST_GROUPS])
    rest = list(groups.values())[_MOST_GROUPS:]
    if rest:
        shown["others"] = (sum(pair[0] for pair in rest), sum(pair[1] for pair in rest))
    places = np.arange(len(shown))
    malignant = np.array([pair[0] for pair in shown.values()])
    benign = np.array([pair[1] for pair in shown.values()])
    axes.barh(places, malignant, color=_MALIGNANT, label="malignant")
    axes.barh(places, benign, left=malignant, color=_BENIGN, label="benign")
    names = [name if name == "NA" else name.replace("_", " ").replace("-", " + ").capitalize() for name in shown]
    axes.set_yticks(places, names, fontsize=7 if len(shown) > 5 else 9)
    axes.invert_yaxis()
    axes.set(title=label, xlabel="Lesions")
    axes.legend(frameon=False)


def _box_sizes(axes: Axes, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Boxes from the 25% to the 75% quantile, whiskers from 5% to 95%."""
    stats = [
        {
            "label": name,
            "whislo": row["p05"],
            "q1": row["p25"],
            "med": row["median"],
            "q3": row["p75"],
            "whishi": row["p95"],
            "fliers": [row["minimum"], row["maximum"]],
        }
        for name, row in rows.items()
    ]
    axes.bxp(stats)
    axes.set(title="Box sizes", xlabel="Quantiles 5, 25, 50, 75, 95% and extremes", ylim=(0, None))
