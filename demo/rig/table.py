# SPDX-License-Identifier: MIT
"""Samples to rows, rows to a table."""

import statistics


def merge(samples, counts):
    """One row of several samples: the median of each value, the sum of those named in counts, None if none has it."""
    row = {}
    for key in samples[0]:
        values = [sample[key] for sample in samples if sample[key] is not None]
        if key in counts:
            row[key] = sum(values)
        else:
            row[key] = round(statistics.median(values), 4) if values else None
    return row


def percent(share):
    return "—" if share is None else f"{share:.0%}"


def show(titles, rows):
    """Print aligned; the two leading columns are names."""
    widths = [max(map(len, column)) for column in zip(titles, *rows)]
    print()
    for row in (titles, *rows):
        print("  ".join(cell.ljust(width) if column < 2 else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths))).rstrip())
    print()
