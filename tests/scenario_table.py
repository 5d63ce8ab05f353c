"""The table of the scenario library: `python -m tests.scenario_table` writes it into scenarios/README.md."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML

LIBRARY = Path(__file__).parents[1] / "scenarios"
README = LIBRARY / "README.md"
_IS_SCENARIO = re.compile(r"^kind: Scenario$", re.MULTILINE)
#: The label of the first table; the second has all the others.
COURSE = "course"


def scenario_files() -> list[Path]:
    """Every scenario of the library; each folder's scenario.yaml before its variants."""
    files = [path for path in LIBRARY.glob("*/*.yaml") if _IS_SCENARIO.search(path.read_text(encoding="utf-8"))]
    return sorted(files, key=lambda path: (path.parent.name, path.name != "scenario.yaml", path.name))


def table(name: str) -> str:
    """The table `course`, or `incident`, in the order of the folders."""
    rows = ["| scenario | what it shows | 内容 |", "| --- | --- | --- |"]
    for path in scenario_files():
        metadata = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["metadata"]
        labels = metadata.get("labels", ())
        if (COURSE in labels) != (name == COURSE):
            continue
        title, place = metadata["title"], path.relative_to(LIBRARY).as_posix()
        slow = " (slow)" if "slow" in labels else ""
        rows.append(f"| [{metadata['name']}]({place}){slow} | {title['en']} | {title['zh']} |")
    return "\n".join(rows) + "\n"


def with_tables(text: str) -> str:
    """The README with both tables as they must be."""
    return re.sub(
        r"(<!-- table ([a-z]+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{table(found[2])}\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
