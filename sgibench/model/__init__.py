"""The nouns of sgibench: frozen, keyword-only, typed; every other module speaks in them.

Units stand in names (`latency_us`, `window_s`, `rss_bytes`). `None` means "not measured", never 0 or -1.
Nothing here computes more than a name, reads a file, or knows where a value came from.
"""

from __future__ import annotations

from sgibench.model.catalogue import (
    Advice,
    App,
    Exchange,
    Expected,
    Launch,
    Need,
    Scenario,
    Server,
    ServerEntry,
    Variant,
)
from sgibench.model.judgement import (
    Comparison,
    Doubt,
    Estimate,
    Ranked,
)
from sgibench.model.plan import (
    Block,
    Cell,
    Group,
    Load,
    Plan,
    Settings,
    Stage,
    Windows,
)
from sgibench.model.run import (
    Calibration,
    CapacityFound,
    EnvironmentInfo,
    Machine,
    PilotRate,
    Run,
    RunInfo,
    Slo,
    StopRule,
)
from sgibench.model.terms import (
    SCHEMA,
    Arrivals,
    Concurrency,
    Configuration,
    Connection,
    Interface,
    LoadKind,
    Status,
    Verdict,
)
from sgibench.model.trial import (
    Effective,
    Failure,
    Generator,
    HistogramData,
    Latency,
    Memory,
    Slice,
    Trial,
)

__all__ = [
    "SCHEMA",
    "Advice",
    "App",
    "Arrivals",
    "Block",
    "Calibration",
    "CapacityFound",
    "Cell",
    "Comparison",
    "Concurrency",
    "Configuration",
    "Connection",
    "Doubt",
    "Effective",
    "EnvironmentInfo",
    "Estimate",
    "Exchange",
    "Expected",
    "Failure",
    "Generator",
    "Group",
    "HistogramData",
    "Interface",
    "Latency",
    "Launch",
    "Load",
    "LoadKind",
    "Machine",
    "Memory",
    "Need",
    "PilotRate",
    "Plan",
    "Ranked",
    "Run",
    "RunInfo",
    "Scenario",
    "Server",
    "ServerEntry",
    "Settings",
    "Slice",
    "Slo",
    "Stage",
    "Status",
    "StopRule",
    "Trial",
    "Variant",
    "Verdict",
    "Windows",
]
