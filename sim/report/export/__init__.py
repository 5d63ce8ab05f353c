"""A run for other tools: Perfetto, Mermaid, OpenTelemetry, Prometheus; and what its plugins said."""
