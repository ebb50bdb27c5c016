"""The one table that scripts/bench prints, and its TSV."""

import statistics
from dataclasses import dataclass, field

COLUMNS = ("name", "ours", "unit", "reference", "reference name", "ratio", "goal", "met", "checked")


@dataclass
class Row:
    """One comparison. `ours` and `references` hold a figure a round, taken in turns; the ratio is the median of the
    rounds' ratios, so that a machine that slows down for both does not count. A goal is a bound on the ratio, or, with
    `absolute`, on the figure itself; "<=" goals say so."""

    name: str
    unit: str
    reference_name: str = ""
    goal: float | None = None
    at_most: bool = False
    absolute: bool = False
    ours: list[float] = field(default_factory=list)
    references: list[float] = field(default_factory=list)
    checked: str = "-"

    @property
    def ratio(self) -> float | None:
        if not self.references:
            return None
        return statistics.median(a / b for a, b in zip(self.ours, self.references, strict=True))

    @property
    def met(self) -> str:
        if self.checked.startswith("VOID"):
            return "void"
        judged = statistics.median(self.ours) if self.absolute else self.ratio
        if self.goal is None or judged is None:
            return "-"
        return "yes" if (judged <= self.goal if self.at_most else judged >= self.goal) else "NO"

    def cells(self) -> tuple[str, ...]:
        goal = "-" if self.goal is None else f"{'<=' if self.at_most else '>='} {self.goal:g}" + (
            f" {self.unit}" if self.absolute else "x")
        return (self.name, figure(statistics.median(self.ours)), self.unit,
                figure(statistics.median(self.references)) if self.references else "-", self.reference_name or "-",
                "-" if self.ratio is None else f"{self.ratio:.2f}", goal, self.met, self.checked)


def figure(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def show(rows: list[Row]) -> str:
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def write_tsv(rows: list[Row], path: str):
    with open(path, "w", encoding="utf-8") as file:
        for line in [COLUMNS, *(row.cells() for row in rows)]:
            file.write("\t".join(line) + "\n")
