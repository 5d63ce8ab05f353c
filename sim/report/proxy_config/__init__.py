"""A proxy's configuration in a few columns, as istioctl proxy-config prints it.

Imitates istioctl 1.27 (istioctl/pkg/writer/envoy/configdump and istioctl/pkg/util/configdump).
"""

from sim.report.proxy_config.clusters import ClusterFilter
from sim.report.proxy_config.clusters import table as clusters_table
from sim.report.proxy_config.dump import ConfigDump, NoSection
from sim.report.proxy_config.ecds import table as ecds_table
from sim.report.proxy_config.listeners import ListenerFilter
from sim.report.proxy_config.listeners import table as listeners_table
from sim.report.proxy_config.routes import table as routes_table

__all__ = [
    "ClusterFilter",
    "ConfigDump",
    "ListenerFilter",
    "NoSection",
    "clusters_table",
    "ecds_table",
    "listeners_table",
    "routes_table",
]
