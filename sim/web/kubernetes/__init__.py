"""Enough of the Kubernetes API for a stock kubectl to work with a pipeline's WasmPlugins and routes."""

from sim.web.kubernetes.app import kubernetes_app
from sim.web.kubernetes.kubeconfig import write_kubeconfig
from sim.web.kubernetes.server import KubernetesApi, kubernetes_server
from sim.web.kubernetes.shelf import Change

__all__ = ["Change", "KubernetesApi", "kubernetes_app", "kubernetes_server", "write_kubeconfig"]
