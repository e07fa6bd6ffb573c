"""The section of a report with the curves of the training run."""

from detect.report.pieces import figure
from detect.report.training import Training, thinned
from detect.visualization.charts import Axis, Panel, label, line, number_axis
from detect.visualization.html import text


def training_charts(training: Training) -> str:
    losses, cells = training.losses(), []
    if losses:
        cells.append(_curve(training, losses[0], "total loss", "main"))
        cells += [_curve(training, name, name.replace("_", " "), "") for name in losses[1:]]
    if "lr" in training.scalars:
        cells.append(_curve(training, "lr", "learning rate", ""))
    for name in training.scores():
        _, *last = name.split("/")
        cells.append(_curve(training, name, " ".join(last).replace("_", " "), "main"))
    return figure(
        f'<div class="many curves">{"".join(cells)}</div>',
        "From metrics.json, against the iteration: the loss and its parts, the learning rate, and the scores of "
        "evaluations during training (a dot if there was only one).",
    )


def _curve(training: Training, name: str, title: str, kind: str) -> str:
    x, y = thinned(*training.scalars[name])
    last = max(x[-1], 1)
    iterations = Axis("", 0, last, ((0, "0"), (last, f"{last:,.0f}")))
    panel = Panel(
        iterations, number_axis("", 0, max(y), 3), width=260, height=150, left=44, right=22, top=8, bottom=24
    )
    hover = [(a, b, f"iteration {a:,.0f}: {b:.4g}") for a, b in zip(x, y, strict=True)]
    marks = [line(panel, x, y, kind)]
    if len(x) == 1:
        marks.append(label(panel, x[0], y[0], "●", above=-4))
    drawn = panel.draw(marks, f"{title} against the iteration", hover)
    name = f'<span title="{text(name)}">{text(title)}</span>'
    return f'<div><h4>{name}<span class="number">{y[-1]:.3g}</span></h4>{drawn}</div>'
