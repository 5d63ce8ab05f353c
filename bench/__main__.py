"""`python -m bench`: the pipeline beside the floor, in one run, and the ratio between them."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from pathlib import Path
from statistics import median

from bench.cases import CASES, Figures, measure
from sim.clock import precise_loop
from sim.errors import SimError

OUT = Path(__file__).parent / "out.json"

#: What the ratios were with the real istiod and pilot-agent (field measurements), and what ours may be at most.
REAL = {"cached": 1.27, "first-pull-tiny": 1.9, "first-pull-6.5MB": 1.8}
LIMIT = {"cached": 1.2, "first-pull-tiny": 1.6, "first-pull-6.5MB": 1.6}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--bumps", type=int, default=25, help="bumps of each case on each side (default 25)")
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append", help="only this case")
    options = parser.parse_args()
    if options.bumps < 1:
        parser.error("--bumps wants at least 1")
    chosen = [case for case in CASES if options.case is None or case.name in options.case]
    try:
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            figures = runner.run(measure(chosen, options.bumps))
    except SimError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print_table(figures)
    OUT.write_text(json.dumps(as_json(figures), indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {OUT}")
    return 0


def print_table(figures: list[Figures]) -> None:
    print("tag bump → first response by the new version, debounce 1 ms; milliseconds, median (min … max)\n")
    print(f"{'case':<18}{'floor':>24}{'pipeline':>24}{'added':>8}{'ratio':>8}{'limit':>8}{'real':>8}")
    for found in figures:
        print(
            f"{found.case:<18}{spread(found.floor_ms):>24}{spread(found.pipeline_ms):>24}"
            f"{found.added_ms:>8.1f}{found.ratio:>8.2f}{LIMIT[found.case]:>8.2f}{REAL[found.case]:>8.2f}"
            f"{'' if found.ratio <= LIMIT[found.case] else '   over the limit'}"
        )
    print("\nfloor: ECDS pushed straight into an Envoy of the same kind, file in place. Bumps of both sides alternate.")


def spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{median(values):.1f} ({ordered[0]:.1f} … {ordered[-1]:.1f})"


def as_json(figures: list[Figures]) -> dict[str, object]:
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "cases": [
            {
                "case": found.case,
                "bumps": len(found.pipeline_ms),
                "floor_median_ms": round(median(found.floor_ms), 3),
                "pipeline_median_ms": round(median(found.pipeline_ms), 3),
                "added_ms": round(found.added_ms, 3),
                "ratio": round(found.ratio, 3),
                "limit": LIMIT[found.case],
                "real_chain": REAL[found.case],
                "failed_requests": found.failed_requests,
                "floor_ms": [round(value, 3) for value in found.floor_ms],
                "pipeline_ms": [round(value, 3) for value in found.pipeline_ms],
            }
            for found in figures
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
