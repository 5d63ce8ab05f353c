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
from bench.proxies import ProxyFigures, measure_proxies
from sim.clock import precise_loop
from sim.errors import SimError

OUT = Path(__file__).parent / "out.json"

#: What the ratios were with the real istiod and pilot-agent (field measurements), and what ours may be at most.
REAL = {"cached": 1.27, "first-pull-tiny": 1.9, "first-pull-6.5MB": 1.8}
PROXY_BUMPS = 10
LIMIT = {"cached": 1.2, "first-pull-tiny": 1.6, "first-pull-6.5MB": 1.6}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--bumps", type=int, default=25, help="bumps of each case on each side (default 25)")
    parser.add_argument(
        "--case", choices=[*(case.name for case in CASES), "proxies"], action="append", help="only this case"
    )
    parser.add_argument("--proxies", type=int, default=1000, help="subscribers of the case proxies (default 1000)")
    options = parser.parse_args()
    for name in ("bumps", "proxies"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} wants at least 1")
    chosen = [case for case in CASES if options.case is None or case.name in options.case]
    crowd: ProxyFigures | None = None
    try:
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            figures = runner.run(measure(chosen, options.bumps))
        if options.case is None or "proxies" in options.case:
            # More files than select can watch.
            crowd = asyncio.run(measure_proxies(options.proxies, PROXY_BUMPS))
    except SimError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if figures:
        print_table(figures)
    if crowd is not None:
        print_crowd(crowd)
    OUT.write_text(json.dumps(as_json(figures, crowd), indent=1) + "\n", encoding="utf-8")
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


def print_crowd(found: ProxyFigures) -> None:
    print(
        f"\n{found.proxies} subscribed proxies, each on a connection of its own; tag bump → the last of them has it\n"
    )
    print(f"time              {spread(found.bump_ms)} ms, {found.per_proxy_us:.0f} µs a proxy")
    print(
        f"memory            {found.per_proxy_bytes / 1024:.0f} KiB a proxy"
        f" ({found.resident_before_bytes >> 20} → {found.resident_after_bytes >> 20} MiB resident)"
    )
    print(f"encoded           {median(found.encodings_per_bump):.0f} times for {found.messages_per_bump} responses")


def spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{median(values):.1f} ({ordered[0]:.1f} … {ordered[-1]:.1f})"


def as_json(figures: list[Figures], crowd: ProxyFigures | None) -> dict[str, object]:
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
        "proxies": None
        if crowd is None
        else {
            "count": crowd.proxies,
            "bump_ms": [round(value, 3) for value in crowd.bump_ms],
            "per_proxy_us": round(crowd.per_proxy_us, 1),
            "per_proxy_bytes": round(crowd.per_proxy_bytes),
            "encodings_per_bump": crowd.encodings_per_bump,
            "responses_per_bump": crowd.messages_per_bump,
        },
    }


if __name__ == "__main__":
    sys.exit(main())
