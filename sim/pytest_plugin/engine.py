"""What runs are made of, imported when it is first needed, and whatever the project's warning filters say."""

from __future__ import annotations

import warnings
from importlib import import_module

#: What Istio 1.19 writes is deprecated by now, and meant.
_MEANT = r"PluginConfig\.fail_open is deprecated"


def ready_engine() -> None:
    """All that a run needs. What we mean to do is no news to a project's tests; pytest undoes the filter after each."""
    ready("sim.scenario.runner", "sim.scenario.session")
    warnings.filterwarnings("ignore", message=_MEANT)


def ready(*modules: str) -> None:
    """Import modules. What others' modules warn of meanwhile is no failure of whoever has warnings as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in modules:
            import_module(module)
