"""The section of a report with the curves of the training run."""

from detect.report.pieces import figure
from detect.report.training import Training, thinned
from detect.visualization.charts import Panel, label, line, number_axis
from detect.visualization.html import text


def training_charts(training: Training) -> str:
    losses, cells = training.losses(), []
    if losses:
        cells.append(_curve(training, losses[0], "total loss", "main"))
        cells += [_curve(training, name, name.replace("_", " "), "") for name in losses[1:]]
    if "lr" in training.scalars:
        cells.append(_curve(training, "lr", "learning rate", ""))
    cells += [_curve(training, name, name.replace("/", " ").replace("_", " "), "main") for name in training.scores()]
    return figure(
        f'<div class="many">{"".join(cells)}</div>',
        "What the run wrote into metrics.json, against the iteration: the loss, its parts, the learning rate, and the "
        "scores of evaluations on the way, a dot where there was one only.",
    )


def _curve(training: Training, name: str, title: str, kind: str) -> str:
    x, y = thinned(*training.scalars[name])
    panel = Panel(
        number_axis("", 0, max(x), 2), number_axis("", 0, max(y), 3),
        width=220, height=150, left=38, right=12, top=8, bottom=24,
    )  # fmt: skip
    hover = [(a, b, f"iteration {a:,.0f}: {b:.4g}") for a, b in zip(x, y, strict=True)]
    marks = [line(panel, x, y, kind)]
    if len(x) == 1:
        marks.append(label(panel, x[0], y[0], "●", above=-4))
    drawn = panel.draw(marks, f"{title} against the iteration", hover)
    return f'<div><h4><span>{text(title)}</span><span class="number">{y[-1]:.4g}</span></h4>{drawn}</div>'
